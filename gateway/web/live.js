// The live stream: snapshot first, then numbered messages. A gap in the numbers means that
// something was lost, and a new stream brings a new snapshot.

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
/** A fleet is never so quiet; the header says it. */
const SILENT_MS = 10_000;
/** A socket that is open and silent for so long is taken for dead. */
const DEAD_MS = 45_000;

export class Live {
  /** `on`: snapshot(message), positions(items), cases(items), state(word). */
  constructor(url, on) {
    this.url = url;
    this.on = on;
    this.state = "connecting";
    this.sequence = 0;
    this.lastMessageAt = null;
    this.attempts = 0;
    this.socket = null;
    this.timer = null;
    addEventListener("online", () => this.retryNow());
    setInterval(() => this.watch(), 1_000);
    this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.openedAt = Date.now();
    let hasSnapshot = false;
    socket.addEventListener("message", (event) => {
      if (this.socket !== socket) return;
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        this.reconnect();
        return;
      }
      if (message.type === "snapshot") {
        hasSnapshot = true;
        this.attempts = 0;
        this.on.snapshot(message);
      } else if (!hasSnapshot || message.seq <= this.sequence) {
        return;
      } else {
        if (message.type === "positions") this.on.positions(message.items);
        if (message.type === "cases") this.on.cases(message.items);
        if (message.seq !== this.sequence + 1) {
          this.reconnect();
          return;
        }
      }
      this.sequence = message.seq;
      this.lastMessageAt = Date.now();
      this.show("live");
    });
    socket.addEventListener("close", () => {
      if (this.socket === socket) this.reconnect();
    });
  }

  /** Ends the stream and begins another one after a pause that grows, with jitter. */
  reconnect() {
    this.drop();
    const pause = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.attempts);
    this.attempts = Math.min(this.attempts + 1, 10);
    this.timer = setTimeout(() => this.connect(), pause * (0.5 + Math.random() / 2));
    this.show("waiting");
  }

  retryNow() {
    if (this.state !== "waiting") return;
    this.drop();
    this.connect();
  }

  drop() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  watch() {
    if (!this.socket) return;
    const quiet = Date.now() - Math.max(this.openedAt, this.lastMessageAt ?? 0);
    if (quiet > DEAD_MS) this.reconnect();
    else if (this.state === "live" && quiet > SILENT_MS) this.show("silent");
  }

  show(state) {
    if (state === this.state) return;
    this.state = state;
    this.on.state(state);
  }
}
