import { readFileSync } from 'node:fs'

/** Of this program, from the file beside `src` and beside `dist`. */
export const VERSION: string = String(
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version?: unknown })
    .version,
)
