import { connect } from 'node:net'
import { readAnswers } from './answers.ts'
import type { Conversation } from './conversation.ts'

/** What came of a conversation. */
export interface Heard {
  /** Latin-1. */
  readonly text: string
  /** `hung`: neither answered nor closed within the bound. */
  readonly end: 'closed' | 'broken' | 'hung' | 'ours'
}

/** Milliseconds; far beyond every limit that the gateway was given, on a machine that does other things too. */
const LONGEST = 30_000

/** Says it all, as fast as it is taken, and listens until it is over. */
export function talk(port: number, conversation: Conversation): Promise<Heard> {
  const { promise, resolve } = Promise.withResolvers<Heard>()
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let text = ''
  let end: Heard['end'] = 'closed'
  let said = false
  let opened = false

  const bound = setTimeout(() => {
    end = 'hung'
    socket.destroy()
  }, LONGEST)
  const say = (pieces: readonly string[], then: () => void, at = 0): void => {
    const piece = pieces[at]
    if (piece === undefined) return then()
    // The next turn, so that each piece is read by itself more often than not.
    socket.write(piece, 'latin1', () => setImmediate(say, pieces, then, at + 1))
  }
  const look = (): void => {
    if (!opened && readAnswers(text).answers.at(-1)?.status === 101) {
      opened = true
      say(conversation.frames, () => socket.end())
    } else if (said && !opened && conversation.ending === 'leave' && isAnswered(text, conversation))
      socket.end()
  }
  const leave = (): void => {
    said = true
    if (conversation.ending === 'end') socket.end()
    else if (conversation.ending === 'cut' || conversation.ending === 'reset') {
      end = 'ours'
      if (conversation.ending === 'cut') socket.destroy()
      else socket.resetAndDestroy()
    } else look()
  }

  socket.on('connect', () => say(conversation.pieces, leave))
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    look()
  })
  socket.on('error', () => (end = end === 'closed' ? 'broken' : end))
  socket.on('close', () => {
    clearTimeout(bound)
    resolve({ text, end })
  })
  return promise
}

function isAnswered(text: string, { requests }: Conversation): boolean {
  const { answers } = readAnswers(text)
  return answers.filter(({ status, complete }) => status >= 200 && complete).length >= requests
}
