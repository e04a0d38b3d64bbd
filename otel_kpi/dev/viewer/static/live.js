// What is new, for every tab of this browser by one connection: a browser has six to a host, and a seventh tab would hang.
// The tab that holds the lock listens, and tells the others. Where there are no locks (another host without TLS), a tab
// listens for itself while it is seen.
//
//   import { follow } from "./live.js";
//   const stop = follow((news) => …, { connected(yes) {} });

const NAME = "otel-kpi-events";
const SILENCE = 40_000; // the server says something every 15 s

const listeners = new Set();
const channel = "BroadcastChannel" in self ? new BroadcastChannel(NAME) : null;
let source = null;
let heard = 0;
let connected = null;
let release = null;
let last = 0;
let begun = false; // what is shown may miss what came while nobody listened

const MISSED = { spans: 0, logs: 0, points: 0, traces: [], changed: 0, missed: true };

const state = (yes) => {
  if (connected === yes) return;
  connected = yes;
  for (const listener of listeners) listener.connected?.(yes);
};

const deliver = (message) => {
  heard = Date.now();
  begun = true;
  if (message.kind === "state") return state(message.connected);
  if (message.kind === "alive") return state(true);
  state(true);
  for (const listener of listeners) listener.news(message.news);
};

const tell = (message) => {
  deliver(message);
  channel?.postMessage(message);
};

const close = () => {
  source?.close();
  source = null;
};

const open = () => {
  close();
  heard = Date.now();
  source = new EventSource("/events");
  source.addEventListener("hello", () => {
    const again = begun;
    tell({ kind: "alive" });
    if (again) tell({ kind: "news", news: MISSED });
  });
  source.addEventListener("alive", () => tell({ kind: "alive" }));
  source.addEventListener("message", (event) => {
    let news;
    try {
      news = JSON.parse(event.data);
    } catch {
      return;
    }
    tell({ kind: "news", news });
  });
  source.addEventListener("error", () => tell({ kind: "state", connected: false }));
};

// A connection that is silent for longer than the server ever is has been lost without anybody's saying so; one that was
// refused for good (the server was started anew and is not there yet) is not tried again by the browser itself.
setInterval(() => {
  if (!source) {
    if (connected && Date.now() - heard > SILENCE) state(false);
    return;
  }
  if (source.readyState === EventSource.CLOSED || Date.now() - heard > SILENCE) {
    if (Date.now() - last < 2_000) return;
    last = Date.now();
    tell({ kind: "state", connected: false });
    open();
  }
}, 2_000);

const lead = () => {
  if (release) return;
  const waiting = new AbortController();
  release = () => waiting.abort();
  navigator.locks
    .request(NAME, { signal: waiting.signal }, () => {
      open();
      return new Promise((resolve) => {
        release = () => {
          close();
          resolve();
        };
      });
    })
    .catch(() => {}); // not waited for any more
};

const alone = () => (document.hidden ? close() : source || open());

// A tab that comes asks how things stand, and is answered by the one that listens.
const answer = () => source && connected !== null && channel.postMessage({ kind: "state", connected });

channel?.addEventListener("message", (event) => (event.data.kind === "asks" ? answer() : deliver(event.data)));

const begin = () => {
  if (navigator.locks && channel) {
    lead();
    channel.postMessage({ kind: "asks" });
  } else alone();
};

const end = () => {
  release?.();
  release = null;
  close();
};

if (!(navigator.locks && channel)) document.addEventListener("visibilitychange", () => listeners.size && alone());
// A page that is kept for going back must not keep the connection of the others.
addEventListener("pagehide", end);
addEventListener("pageshow", (event) => {
  if (event.persisted && listeners.size) {
    begin();
    for (const listener of listeners) listener.news(MISSED);
  }
});

export const follow = (news, { connected: told } = {}) => {
  const listener = { news, connected: told };
  listeners.add(listener);
  if (listeners.size === 1) begin();
  if (connected !== null) told?.(connected);
  return () => {
    listeners.delete(listener);
    if (!listeners.size) end();
  };
};
