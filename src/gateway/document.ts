import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { PosternError } from '../errors.ts'
import type { DocumentStore } from '../routes/document.ts'
import type { DocumentOptions } from '../routes/live.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** As much as the reader takes. */
const LARGEST = 16 * 1024 * 1024
/** Milliseconds: a document of many routes is made on first request. */
const TIMEOUT = 10_000

/** Where the backend's OpenAPI document comes from; undefined when rules alone speak. */
export function documentOptions(config: Config, upstream: Upstream): DocumentOptions | undefined {
  const { document, dialect, undeclared, refresh, cache } = config.openapi
  if (document.kind === 'none') return undefined
  return {
    source: document.kind === 'file' ? 'file' : 'upstream',
    load: loader(document, upstream),
    // RomM checks the scopes of its own document itself; of another backend that is not known.
    reading: { dialect, undeclared, backendChecksScopes: config.profile === 'romm' },
    refresh,
    upstream: config.upstream.url,
    ...(cache !== 'off' && { store: folderStore(cache) }),
  }
}

function loader(
  document: Exclude<Config['openapi']['document'], { kind: 'none' }>,
  upstream: Upstream,
): DocumentOptions['load'] {
  switch (document.kind) {
    case 'file':
      return async () => ({ text: await readFile(document.path, 'utf8') })
    case 'upstream':
      return () => fromUpstream(document.path, upstream)
    case 'url':
      return () => fromUrl(document.url)
  }
}

async function fromUpstream(path: string, upstream: Upstream): Promise<{ text: string }> {
  const headers = { Accept: 'application/json' }
  const question = { method: 'GET', path, headers, timeout: TIMEOUT, maxBytes: LARGEST }
  const { status, body } = await upstream.request(question)
  if (status !== 200)
    throw new PosternError('route_table_unavailable', `${withoutQuery(path)}: the backend answered ${status}`)
  return { text: body.toString('utf8') }
}

async function fromUrl(url: string): Promise<{ text: string }> {
  const shown = withoutQuery(url)
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT) })
  if (answer.status !== 200)
    throw new PosternError('route_table_unavailable', `${shown}: answered ${answer.status}`)
  const chunks: Uint8Array[] = []
  let size = 0
  const body: AsyncIterable<Uint8Array> | readonly Uint8Array[] = answer.body ?? []
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > LARGEST) throw new PosternError('route_table_unavailable', `${shown}: larger than 16 MiB`)
    chunks.push(chunk)
  }
  return { text: Buffer.concat(chunks).toString('utf8') }
}

/** As failures are shown, in the log and to whoever reads the probes: a query may hold a secret. */
function withoutQuery(address: string): string {
  return address.replace(/\?.*/s, '')
}

/** One file in a folder, replaced whole: a half-written copy would be no copy. */
function folderStore(folder: string): DocumentStore {
  const file = join(folder, 'last-good.json')
  return {
    async read() {
      try {
        return await readFile(file, 'utf8')
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(text) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const draft = `${file}.${randomUUID()}.tmp`
      await writeFile(draft, text, { mode: 0o600 })
      await rename(draft, file)
    },
  }
}
