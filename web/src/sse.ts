// The form of server-sent events (WHATWG HTML 9.2.6), read from a response piece by piece.

export interface Message {
  id: string | null;
  event: string;
  data: string;
}

/** A message longer than this is none of the gateway's. */
const MOST_CHARS = 8_000_000;

export class Reader {
  private rest = '';
  private event = '';
  private id: string | null = null;
  private data: string[] = [];

  /** The messages that are complete with this piece. */
  push(piece: string): Message[] {
    const text = this.rest + piece;
    // A CR at the end may be half of a CRLF.
    const whole = text.endsWith('\r') ? text.length - 1 : text.length;
    const lines = text.slice(0, whole).split(/\r\n|\n|\r/);
    this.rest = (lines.pop() ?? '') + text.slice(whole);
    if (this.rest.length > MOST_CHARS) throw new Error('a line of the stream does not end');
    const messages: Message[] = [];
    for (const line of lines) {
      const message = this.line(line);
      if (message) messages.push(message);
    }
    return messages;
  }

  private line(line: string): Message | null {
    if (line === '') {
      const { id, event, data } = this;
      this.id = null;
      this.event = '';
      this.data = [];
      return data.length ? { id, event: event || 'message', data: data.join('\n') } : null;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.data.push(value);
    else if (field === 'event') this.event = value;
    else if (field === 'id') this.id = value;
    return null;
  }
}
