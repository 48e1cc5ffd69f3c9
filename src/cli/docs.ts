import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { configurationFiles } from '../config/document.ts'
import { PosternError } from '../errors.ts'
import { reasonsFile } from './reasons.ts'
import { parseCommand } from './arguments.ts'
import type { CliContext } from './context.ts'

export const DOCS_USAGE = ['postern docs [--write]']

/**
 * `postern docs`: the pages that are made from tables in the code; without `--write`, whether they are up to date.
 * @throws PosternError `usage` naming what is not
 */
export function runDocs(args: readonly string[], context: CliContext): void {
  const { values } = parseCommand(args, [], { write: { type: 'boolean' } })
  const files = [...configurationFiles(), reasonsFile()]
  const stale = files.filter(({ path, text }) => !isSame(path, text))
  if (values.write === true) {
    for (const { path, text } of stale) {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
      context.err(`Wrote ${path}.`)
    }
  } else if (stale.length > 0) {
    throw new PosternError(
      'usage',
      `Not up to date: ${stale.map(({ path }) => path).join(', ')}. Run \`npm run docs\`.`,
    )
  }
}

function isSame(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8') === text
  } catch {
    return false
  }
}
