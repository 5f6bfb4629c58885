"""MultiSports' mean average precision of frames; that of whole videos, over tubes, is not computed."""

from videohub.metrics.metric import MeanAveragePrecision

METRIC = MeanAveragePrecision(
    name="frame_map",
    module="videohub.metrics.multisports",
    by_box=True,
    class_count="boxes with it",
    hub_tags=("action-detection",),
    hub_condition=" of frames at IoU 0.5",
    refused={
        "v-mAP": "Video mAP links boxes of successive frames into tubes, and nothing here proves that ours would be "
        "the original's; tell it in `notes`."
    },
)
