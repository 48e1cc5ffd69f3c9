import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { PosternError } from '../errors.ts'
import type { CliContext } from './context.ts'

/** Where a secret is typed; a terminal has `isTTY`. */
type Keyboard = NodeJS.ReadableStream & { readonly isTTY?: boolean }

/**
 * Reads one line without showing it. Never from the command line: every process of the machine can read that.
 * @param screen where the prompt is written
 */
export function createReadSecret(
  keyboard: Keyboard,
  screen: NodeJS.WritableStream,
): CliContext['readSecret'] {
  return async (prompt) => {
    const isTerminal = keyboard.isTTY === true
    const silence = new Writable({ write: (_chunk, _encoding, done) => done() })
    const lines = createInterface({ input: keyboard, output: silence, terminal: isTerminal })
    if (isTerminal) screen.write(prompt)
    try {
      return await firstLine(lines)
    } finally {
      lines.close()
      if (isTerminal) screen.write('\n')
    }
  }
}

/** Asks whoever sits at the terminal. @param screen where the question is written */
export function createAsk(keyboard: Keyboard, screen: NodeJS.WritableStream): CliContext['ask'] {
  return async (question) => {
    if (keyboard.isTTY !== true) return undefined
    const lines = createInterface({ input: keyboard, output: screen })
    screen.write(question)
    try {
      return (await firstLine(lines)).trim()
    } finally {
      lines.close()
    }
  }
}

async function firstLine(lines: ReturnType<typeof createInterface>): Promise<string> {
  const given = new AbortController()
  // Also after Ctrl-C and Ctrl-D.
  lines.once('close', () => given.abort())
  try {
    const [line] = (await once(lines, 'line', { signal: given.signal })) as [string]
    return line
  } catch (error) {
    throw new PosternError('usage', 'No secret was given.', { cause: error })
  }
}

/**
 * A new password: the file's only line, or what is typed.
 * @throws PosternError `usage` when the file cannot be read
 */
export async function readPassword(
  file: string | undefined,
  prompt: string,
  context: Pick<CliContext, 'readSecret'>,
): Promise<string> {
  if (file === undefined) return context.readSecret(prompt)
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new PosternError('usage', `--password-file: ${file} cannot be read.`, { cause: error })
  }
}
