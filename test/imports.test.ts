import { fileURLToPath } from 'node:url'
import t from 'tap'
import { checkImports } from './support/imports.ts'

const src = fileURLToPath(new URL('../src', import.meta.url))

t.test('imports point one way, and each library stays at home', async (t) => {
  const { files, violations } = checkImports(src)
  t.ok(files > 0, 'it saw files')
  t.same(
    violations.map(({ file, line, message }) => `src/${file}:${line}: ${message}`),
    [],
  )
})

t.test('every kind of violation is seen, with its line', async (t) => {
  const folder = t.testdir({
    'main.ts': "import { a } from './cli/a.ts'\nimport process from 'node:process'\nprocess.exit(a)\n",
    'stray.ts': "import { b } from './routes/b.ts'\n",
    cli: {
      'a.ts': "export { x } from '../gateway/gateway.ts'\nexport const a = await import('../edge/a.ts')\n",
    },
    directory: { 'a.ts': "import { Redis } from 'ioredis'\nexport const a = ['from', 'x']\n" },
    edge: {
      'a.ts': "import {\n  one,\n  two,\n} from '../admin/a.ts'\nimport fastify from 'fastify'\n",
      'b.ts': "import { PosternError } from '../errors.ts'\nimport type { Log } from '../observe/log.ts'\n",
    },
    identity: {
      'a.ts': "import type { R } from '../request/r.ts'\n// process.env\nexport const e = process.env\n",
    },
    observe: { 'a.ts': "import type { P } from '../pipeline/p.ts'\nimport { q } from '../pipeline/q.ts'\n" },
    pipeline: {
      'decide.ts': "import { issuePermit, type Permit } from './permit.ts'\n",
      'forge.ts': "import { issuePermit } from './permit.ts'\nimport type { Permit } from './permit.ts'\n",
      'hand-on.ts': "export * from './permit.ts'\n",
    },
    profiles: { 'a.ts': "import type { Redis } from 'ioredis'\nimport mysql from 'mysql2/promise'\n" },
    routes: { 'a.ts': "\nimport 'undici'\nconst name = 'x'\nexport const m = await import(name)\n" },
    upstream: { 'a.ts': "import { Redis } from 'ioredis'\nimport { Pool } from 'undici'\n" },
  })
  const { files, violations } = checkImports(folder)
  t.equal(files, 14)
  t.same(violations.map(({ file, line, message }) => `${file}:${line}: ${message}`).sort(), [
    'edge/a.ts:1: edge must not import admin',
    'identity/a.ts:1: identity must not import request',
    'identity/a.ts:3: process is for main.ts and cli alone',
    'observe/a.ts:2: observe imports types only, not pipeline',
    'pipeline/forge.ts:1: issuePermit is for src/pipeline/decide.ts and src/pipeline/observe.ts alone',
    'pipeline/hand-on.ts:1: issuePermit is for src/pipeline/decide.ts and src/pipeline/observe.ts alone',
    'routes/a.ts:2: undici lives in upstream, gateway, not in routes',
    'routes/a.ts:4: imports a computed name',
    'stray.ts:1: stray.ts has no place in the order of folders',
    'upstream/a.ts:1: ioredis lives in directory, gateway, not in upstream',
  ])
})

t.test('a folder without files is seen to be one', async (t) => {
  t.equal(checkImports(t.testdir({ empty: {} })).files, 0)
})
