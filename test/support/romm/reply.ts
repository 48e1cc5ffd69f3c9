/** An answer before it is written. */
export interface Reply {
  readonly status: number
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: string | Buffer
}

export function json(status: number, value: unknown, headers: NonNullable<Reply['headers']> = []): Reply {
  return { status, headers: [['content-type', 'application/json'], ...headers], body: JSON.stringify(value) }
}

export function text(status: number, body: string, type: string = 'text/plain; charset=utf-8'): Reply {
  return { status, headers: [['content-type', type]], body }
}

export const NO_CONTENT: Reply = { status: 204 }
export const detail = (status: number, sentence: string): Reply => json(status, { detail: sentence })
export const html = (status: number, body: string): Reply => text(status, body, 'text/html')

/** The bytes of every file that the stand-in has: `byte[i] = i mod 251`. */
export const FILE = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, index) => index % 251))
const ETAG = '"stand-in"'

/** A file with `Range` and `If-Range`, in one part (RFC 9110 §14). */
export function file(
  headers: { readonly range?: string | undefined; readonly 'if-range'?: string | undefined },
  name: string,
): Reply {
  const common = [
    ['content-type', 'application/octet-stream'],
    ['content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(name)}`],
    ['accept-ranges', 'bytes'],
    ['etag', ETAG],
    ['last-modified', 'Thu, 01 Jan 2026 00:00:00 GMT'],
  ] as const
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '') ?? []
  const outdated = headers['if-range'] !== undefined && headers['if-range'] !== ETAG
  if (first === undefined || last === undefined || first + last === '' || outdated) {
    return { status: 200, headers: common, body: FILE }
  }
  const start = first === '' ? Math.max(0, FILE.length - Number(last)) : Number(first)
  const end = first === '' || last === '' ? FILE.length - 1 : Math.min(Number(last), FILE.length - 1)
  if (start > end) return { status: 416, headers: [...common, ['content-range', `bytes */${FILE.length}`]] }
  const range = ['content-range', `bytes ${start}-${end}/${FILE.length}`] as const
  return { status: 206, headers: [...common, range], body: FILE.subarray(start, end + 1) }
}
