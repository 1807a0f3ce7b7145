// A page that is read from a file may have no workers in Chromium: there, the search runs in a frame.
// The name of this file keeps Zensical from loading one of another site for it.
if (location.protocol === "file:")
  window.Worker = class {
    constructor(url) {
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.worker = this
      this.frame.srcdoc =
        "<script>self.postMessage = data => setTimeout(() => frameElement?.worker.onmessage?.({ data }))<\/script>" +
        `<script src="${url}"><\/script>`
      this.loaded = new Promise(resolve => (this.frame.onload = resolve))
      document.documentElement.append(this.frame)
    }

    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow?.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }
  }
