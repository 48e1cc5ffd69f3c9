import { FIELD_LINE } from '../../request/lines.ts'
import { BadAnswer } from './head.ts'

/** Of the line that says a chunk's size, its extensions included, and of all trailers together. */
const LONGEST_LINE = 4_096
// RFC 9112 §7.1: hexadecimal digits; extensions mean nothing to anybody and go no further.
const SIZE = /^([0-9A-Fa-f]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?$/
// RFC 9112 §7.1.2; not passed on (RFC 9110 §6.5.1), but what is no field line could be the next answer to another reader.
const TRAILER = new RegExp(`^${FIELD_LINE}$`)
const CR = 0x0d
const LF = 0x0a

/** Takes the body out of its chunks (RFC 9112 §7.1), however the bytes come in pieces. Read as strictly as the head. */
export class ChunkReader {
  /** Of the chunk that is being read. */
  #left = 0
  #reading: 'size' | 'data' | 'end' | 'trailers' = 'size'
  #line = ''
  #trailers = 0
  isOver = false

  /**
   * @param give is handed each piece of the body; a view of `bytes`
   * @returns where the body ended, or all the bytes
   * @throws BadAnswer
   */
  read(bytes: Buffer, from: number, give: (piece: Buffer) => void): number {
    let at = from
    while (at < bytes.length && !this.isOver)
      at = this.#reading === 'data' ? this.#data(bytes, at, give) : this.#text(bytes, at)
    return at
  }

  #data(bytes: Buffer, from: number, give: (piece: Buffer) => void): number {
    const end = Math.min(bytes.length, from + this.#left)
    this.#left -= end - from
    if (this.#left === 0) this.#reading = 'end'
    give(bytes.subarray(from, end))
    return end
  }

  /** One line, or as much of it as is there. */
  #text(bytes: Buffer, from: number): number {
    const found = bytes.indexOf(LF, from)
    const end = found === -1 ? bytes.length : found + 1
    this.#line += bytes.toString('latin1', from, end)
    if (this.#line.length > LONGEST_LINE)
      throw new BadAnswer('a line between the chunks of the answer is too long')
    if (found !== -1) this.#take(this.#wholeLine())
    return end
  }

  #wholeLine(): string {
    const line = this.#line
    this.#line = ''
    // A line that ends otherwise ends elsewhere for other readers.
    if (line.charCodeAt(line.length - 2) !== CR)
      throw new BadAnswer('a line of the answer does not end in CRLF')
    return line.slice(0, -2)
  }

  #take(line: string): void {
    switch (this.#reading) {
      case 'size':
        return this.#begin(line)
      case 'end':
        if (line !== '') throw new BadAnswer('a chunk of the answer is longer than it says')
        this.#reading = 'size'
        return
      case 'trailers':
        if (line === '') this.isOver = true
        else this.#trailer(line)
        return
      case 'data':
    }
  }

  #begin(line: string): void {
    const [, size] = SIZE.exec(line) ?? []
    if (size === undefined) throw new BadAnswer('a chunk of the answer has no size')
    this.#left = Number.parseInt(size, 16)
    this.#reading = this.#left === 0 ? 'trailers' : 'data'
  }

  #trailer(line: string): void {
    this.#trailers += line.length
    if (this.#trailers > LONGEST_LINE || !TRAILER.test(line))
      throw new BadAnswer('the trailers of the answer are unclear')
  }
}
