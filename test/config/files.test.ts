import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { configurationFiles, publishedSchema } from '../../src/config/document.ts'
import { loadConfig } from '../../src/config/load.ts'
import { SETTINGS } from '../../src/config/tree.ts'

const ROOT = new URL('../../', import.meta.url)
const EXAMPLES = ['romm', 'standalone', 'demo']

const conforms = new Ajv2020({ strict: true, allErrors: true }).compile(publishedSchema())

function textOf(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8')
}

for (const { path, text } of configurationFiles()) {
  t.test(`${path} is what the schema says now (npm run docs)`, async () => t.equal(textOf(path), text))
}

t.test('every setting is documented', async () => {
  const text = textOf('docs/configuration.md')
  for (const { path, env } of SETTINGS) t.ok(text.includes(`| \`${path}\` | \`${env}\` |`), path)
})

for (const name of EXAMPLES) {
  const path = `config/${name}.yaml`
  const text = textOf(path)

  t.test(`${path} loads without a word and conforms to the published schema`, async () => {
    t.match(loadConfig({ env: {}, file: path, text }), { ok: true, warnings: [] })
    t.ok(conforms(parse(text)), JSON.stringify(conforms.errors))
    t.match(text, /^# yaml-language-server: \$schema=\.\/postern\.schema\.json\n/)
  })

  t.test(`${path} still loads when what it offers in comments is taken`, async () => {
    const offered = text.replace(/^( *)# ( *(?:- )?[A-Za-z]+:(?: .*)?)$/gm, '$1$2')
    const loaded = loadConfig({
      env: { ROMM_AUTH_SECRET_KEY: 'k' },
      file: path,
      text: offered,
      read: () => 'secret',
    })
    if (!loaded.ok) t.fail(JSON.stringify(loaded.problems))
  })
}

t.test('the published schema refuses what loading refuses', async () => {
  const url = 'http://romm:8080'
  t.ok(conforms({ upstream: { url } }))
  t.ok(conforms({ upstream: url, replicas: '${REPLICAS}', romm: { secret: { file: '/x' } } }))
  for (const bad of [
    { upstream: { url }, upstrem: 1 },
    { upstream: { url, connectTimeout: 5 } },
    { upstream: { url, connectTimeout: '5' } },
    { upstream: url, conflict: 'maybe' },
    { upstream: url, rules: [{ public: true }] },
    { upstream: url, rules: [{ path: '/x', publik: true }] },
    { upstream: url, ask: { concurrency: 0 } },
  ]) {
    t.notOk(conforms(bad), JSON.stringify(bad))
  }
})
