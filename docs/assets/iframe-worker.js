// A browser starts no worker in a page that was opened from disk; the search then runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      this.inner = frame.contentWindow
      // what the script sends comes out here
      this.inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      this.inner.importScripts = async (...urls) => {
        for (const each of urls) await this.load(new URL(each, url).href)
      }
      this.ready = this.load(new URL(url, location.href).href)
    }

    load(url) {
      const script = this.inner.document.createElement("script")
      script.src = url
      return new Promise((done, failed) => {
        script.onload = done
        script.onerror = () => failed(new Error(`${url} cannot be loaded.`))
        this.inner.document.documentElement.append(script)
      })
    }

    // sent only after the script listens
    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.inner.frameElement.remove()
    }
  }
}
