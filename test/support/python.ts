import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { locate } from './services/programs.ts'

const execFileAsync = promisify(execFile)
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/postern-python/', import.meta.url))
/** Milliseconds pip may take. */
const LONGEST = 180_000
const INSTALL = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input']

/**
 * A folder of these packages for this Python, as PYTHONPATH takes it; from the package index once, then from the cache.
 * @param requirements path of a requirements.txt
 * @throws Error that says what is missing
 */
export async function pythonPackages(requirements: string): Promise<string> {
  const python = locate('python3')
  const { stdout: version } = await execFileAsync(python, ['-VV'])
  const digest = createHash('sha256').update(version).update(readFileSync(requirements)).digest('hex')
  const folder = join(CACHE, digest.slice(0, 16))
  if (existsSync(folder)) return folder
  await mkdir(CACHE, { recursive: true })
  const unfinished = await mkdtemp(join(CACHE, 'unfinished-'))
  const args = [...INSTALL, '--only-binary', ':all:', '--target', unfinished, '--requirement', requirements]
  try {
    await execFileAsync(python, args, { timeout: LONGEST })
    // Another process may have been quicker.
    await rename(unfinished, folder).catch(() => undefined)
  } catch (error) {
    const how =
      'it takes pip ("apt-get install python3-pip") and the package index, or a mirror of it in PIP_INDEX_URL'
    throw new Error(`The packages of ${requirements} could not be installed: ${how}.`, { cause: error })
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
  return folder
}
