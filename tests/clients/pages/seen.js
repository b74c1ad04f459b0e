// What the pages of all clients share: where the stream is, and how to write what is seen.

const query = new URLSearchParams(location.search)

export const stream = query.get("stream")

// The id to begin with, where a client has to be started again with it; null at first.
export const id = query.get("id")

export const say = (what) => console.log(JSON.stringify({ of: query.get("of"), ...what }))

export const dispatched = (e) => say({ event: e.type, data: e.data, id: e.lastEventId })

// How an EventSource reports that it has lost its connection.
export const failed = (e) => say({ says: e.target.readyState === 2 ? "closed" : "error" })

// Writes the text of each paragraph that a library puts into the page.
export function watch(element) {
  new MutationObserver((mutations) => {
    for (const { addedNodes } of mutations)
      for (const node of addedNodes)
        if (node.nodeName === "P") say({ event: "message", data: node.textContent, id: null })
  }).observe(element, { childList: true })
}
