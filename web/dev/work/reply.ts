// What a request of the mock is, and how it is answered.

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
  /** Who asks. */
  name: string;
  role: string;
}

export interface Reply {
  status: number;
  body: unknown;
  /** JSON unless told otherwise. */
  type?: string;
}

export const ok = (body: unknown): Reply => ({ status: 200, body });
export const accepted = (body: unknown): Reply => ({ status: 202, body });

/** Problem details in both languages (RFC 9457). */
export const refused = (status: number, zh: string, en: string, type = "about:blank"): Reply => ({
  status,
  body: { type, title: String(status), status, detail: en, detail_zh: zh },
});

export const notFound = (): Reply => refused(404, "没有这个路径", "there is no such path");
