"""Pickles that Python 2.7.18 with numpy 1.16.6 wrote; their arrays are written out beside them."""

from __future__ import annotations

import base64
import struct
import zlib

# {"blobs": {"conv1_w": [[-3, -2, -1], [0, 1, 2]], "conv1_w_momentum": zeros of that shape, "model_iter": 300000,
# "lr": numpy.float32(0.25)}}, by module and protocol
_FULL = {
    ("cPickle", 0): (
        "eNq1ULFugzAU3N+PmKXIBtISKWqzsjCUNRLCxkGRMFi2acPf9yAZQqSMtfSG9+783t1FrRVUMdmP0jOyCUWtTTFQ4/Aj6t/ajEYP"
        "YTLAMlLDZOwcq9Hp2Ex9uDTONTPVToPug5tUILuj6Majob3h9p2iglPAGUbh236gFaiEipTCndyG2WqyOUUVO2eM8AEksPdgLooO"
        "jMqyLN4ErYV9suAcwOnK+X8WNEtfsd4hA8FfheBV0zcODDjr9htZOf9cfYuEsMeMre7rS9DrvhQZ8OUt0D30ZZ5RhyC7p+TEbhMd"
        "7mwjOJ6u6kn/Y5+j5Pm115x/PQ6Oq3Mf/wEYx5+j"
    ),
    ("cPickle", 1): (
        "eNp1j01OwzAQhZ0/SszvkiN4FRWJJYJuqaUsKnkdxY5RKtlxx5mAsqiUO3AgOAo3AYsUxKZPmreZp3nf7CESmTRO9hDvIWHiWrnu"
        "5bZ6rayzusPBQqq6we7GQjmvCzsY3Nbe1yOtvA7ZHv2gkELG5hjtmnkNJ4wTFJHEDSwYjxiPeYKHUIPjTlM4ZSJ+vuOERyGUM56I"
        "6L4sy/VX0I+FC/JpuaTihhwRShEbD/QIZK9qU3sKZ6zNRUrI9BCazgW1rtGm2qL2cLH+fEuJWBweh8s2Y+0/+Ks/+Db/ZVl9hOow"
        "0/tMMT0GW6Ec+uIbE/9jeA=="
    ),
    ("cPickle", 2): (
        "eNp1j71qwzAUhSX/NLX6O+YRPBkKHUubOQIPAc3GkhUckKxcWWrxUPDSlM59oPZR+iaNiFM65cA9XLgHznfH6BUwS7kyvIewxzm7"
        "FaZ7vqteKm207JzXkIjO6+1QCGNlob1ym9raeiCVlSHbO+uFI5BOKdI10xXOKHpjmL+vYJZTTCMa746Rxg1bSeCcRet7iigOkSyn"
        "McMPZVkuf4MORpHjH2yOTshxFikL5ARdL2pVWwIXbcYShMbH3QouGdGmkaraOGnhavnzmSA2Oz4M123a/kPf/EG32QFi8R06w4xf"
        "U/34FGzhuO+LPY+SYvc="
    ),
    ("pickle", 0): (
        "eNq1UstugzAQvM+PwKXINo+AVLW5cuFQrpEQr6BIGCxj2vD33W1SiVTKsUgr4dnH7Iztd0ag9JpxbhYPRsLvjCKgnadPWX1Vetb9"
        "5FZNuRDttGqzBe1s+0Cvo7vU1tYbKttT+eLs2jqYCP6tDlN3y5sYfi7gTMJMNOlA/yk+TEY4MeYKeUiQFHcGdG4zPW1DydI7R7wY"
        "1QhQNZWF1CqJhppK75WTMYqiyF8kfoKpZIImFyztdBXiP4P5WZBM0SylN1oGsmdeLW091hZGCfgDidjvl4o36lWsUSnSqELQQD13"
        "/VhdXM+DVURWCf44db8kxmMM5Mjw67RKMPBS6sBz0kefVQamfrTneLq2f7TtzylFc37uQyre98CR3wsvEkpyZQm+AVXurkg="
    ),
    ("pickle", 1): (
        "eNp1kEtLw0AUhSdpanXUWt/1vZ1VqOBStFs7kEVg1iEvSSGPnsmNkkUh/8EfpD/Ff6LRVFz1wD2be7h85y7BVD9Ii6CEsYQp1Cgs"
        "8pdb79XLiizOqcrQC/MqW9R2WOjYzqqU5r7Wfs09HbfZknQVEocluhjPo26NvpCMsKGMAAPCpostIQ0hTdkj8FU4onoRc2wLZT7f"
        "YUcyaRB2XQyF7CnjHnuO48y+Wv3az71R8DSZcDVma4R9wkGgzFTjcA14GfqprzmORDJUFmPNA44JJy5OFc+KKE69OcUa49nnm8XU"
        "YPUQnCWWSLpS50nb6MLF5X+jq2T4Bzb9aDnaad47pOaxtSmuCTdBVdrfNR5sMA=="
    ),
    ("pickle", 2): (
        "eNp1kLlOw0AYhNdHCCxgwh3u1pUlJEoEqbOSC0tbW76QI/nIrNcgF5HckIiaB4JH4U1gZUd0Gemf5p/im2n1BQgfhFkZVtAW0G0+"
        "isri9d5/8/MyTwpZ5zCios7njROVInHyOpOzQIigob5IVLaSoo4khdmnaBH3XwwYeccW10IMV9j2sGMzjenMWIKuo7Fs5gnFLtdf"
        "HrDHCNNW2Pdg2czg2iMOXNed/ip1xojEKPzgY7JBOJQ4CrmeCRxvIK6iIAsExUlqcZOQ9gmnS5x5OOc0L+Mk82cyERhPfz5Nwofr"
        "IXCRmmlX5jJVTa48XP83uUmtjmjyrQDUtV89S/usbIJbibuwrpw/chlrrw=="
    ),
}

# {"blobs": {"conv1_w": [[0, 2, 8], [32, 2, 0]], "pred_b": [8, 2]}} by cPickle, by protocol
_TWO = {
    0: (
        "eNp1jrsOgkAQRfv7I7uNZBffiYXa0VBIa0JcFokJwmRZVP7eEdQYjcUtZubkzpGWNBJhyto0AhRCWhrzglxuU8ObCbKqPVMXZLXL"
        "g3Nb+tPBuUOH1OVZXTXetZkHTSEHDpUd7jSDjBQ8lwv4Hc151JwQ/kla31EOWkAm4jgRYJoJRpeMPSRWAnEcRyONPlxmIqX4sL8p"
        "9crmc1jzK9Mkgs0uOr2yv1YoWK74stH6rcOvfLHEb/N31n/fbv9ij/ROTXAHfxlmPg=="
    ),
    1: (
        "eNpNjc0KgzAQhBOtf+kL9BFyEgs99mB7awMeCjmLUYsF/zauLR589jaohw7ssrDfzMxApaPqTg1gzWBz6fa6LFIFu7wdm34K806X"
        "YTPW+Mq0ziaW6jLv2gH1mCMDh68Ya4v1DS4XBCVV+ACPC8qFhRtS4NSXDHwuredJEEENEnBhS3pOkuT+NVqW8atbFDHpE0IuZmJU"
        "0jOl72P6AVY5vPor2a8lwsYqWFwHsire3NftNqnjEP4AtFNFFg=="
    ),
    2: (
        "eNpFjc0KgkAUhWc0U6cX6BFcCUHLFtayCy6CWYszThj4N+NYuAjaWPjUNajQgXs5cM/9zst6SkwdVtSslcbbAV03SmQJkytedWXT"
        "h7xWIiy7Qt9SpdKeJErwumq16rgm0plTpMrmq1wDGihmn4t0A8BgDUsg030jiPSodd0DAmwCfgA2xYc4js9fo2kB0mykHkLoaCbS"
        "jLqm7b5LHpLkTv6nbyY62O/cH+kWzYqWv9PiDaxrwx8+y0Sq"
    ),
}


def bytes_pickle(data: bytes, protocol: int) -> bytes:
    """Return {"w": array of bytes} as Python 2 writes it: the bytes in a string, which protocol 0 quotes."""
    string = b"S" + repr(data)[1:].encode() + b"\n" if protocol == 0 else b"T" + struct.pack("<i", len(data)) + data
    return (
        b"(dS'w'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I%d\nt"
        b"cnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n%btbs." % (len(data), string)
    )


def _unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


FULL = {key: _unpack(text) for key, text in _FULL.items()}
TWO = {key: _unpack(text) for key, text in _TWO.items()}
