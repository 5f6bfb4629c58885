// The site's search runs in a worker, which browsers refuse to pages that are opened from the disk. There it runs in a
// hidden frame instead. (The theme would fetch such a script from a server, were there none of this name here.)
"use strict";
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe"), script = document.createElement("script");
      frame.hidden = true;
      document.body.append(frame);
      const inside = this.inside = frame.contentWindow;
      const tell = (to, data) => setTimeout(() => to.dispatchEvent(new MessageEvent("message", {data})));
      inside.postMessage = data => tell(this, data); // what a worker calls to answer
      this.tell = data => tell(inside, data);
      this.loaded = new Promise(resolve => script.addEventListener("load", resolve, {once: true}));
      script.src = url;
      frame.contentDocument.body.append(script);
    }

    postMessage(data) {
      this.loaded.then(() => this.tell(data));
    }
  };
}
