import t from 'tap'
import { readOpenApi } from '../../src/routes/openapi.ts'
import type { OpenApiOptions } from '../../src/routes/openapi.ts'
import { describeRequirement } from '../../src/routes/requirement.ts'

const securitySchemes = {
  oauth: { type: 'oauth2' },
  oidc: { $ref: '#/components/securitySchemes/linked' },
  linked: { type: 'openIdConnect' },
  basic: { type: 'http', scheme: 'basic' },
  key: { type: 'apiKey' },
}
type Document = Record<string, unknown>

const standard: OpenApiOptions = {
  dialect: 'standard',
  undeclared: 'authenticated',
  backendChecksScopes: false,
}
const fastapi: OpenApiOptions = { dialect: 'fastapi-all', undeclared: 'public', backendChecksScopes: true }
const document = (more: Document): Document => ({
  openapi: '3.1.0',
  info: { version: '1.2.3' },
  components: { securitySchemes },
  paths: {},
  ...more,
})
const read = (more: Document, options = standard) => readOpenApi(JSON.stringify(document(more)), options)
const faults = (more: Document, options = standard): string[] => {
  const reading = read(more, options)
  return reading.ok ? [] : reading.faults.map(({ pointer, message }) => `${pointer} ${message}`)
}
const required = (operation: Document, options = standard, more: Document = {}): string | undefined => {
  const reading = read({ paths: { '/a': { get: operation } }, ...more }, options)
  const [rule] = reading.ok ? reading.rules : []
  return rule && describeRequirement(rule.requirement)
}

t.test('standard: alternatives are united, and an empty one lets anybody in', async (t) => {
  t.equal(required({ security: [{ oauth: ['a', 'b'] }] }), 'a b')
  t.equal(required({ security: [{ oauth: ['a'] }, { oidc: ['b'] }] }), 'a b', 'whichever the backend tries')
  t.equal(required({ security: [{ oauth: ['a'], oidc: ['b'] }] }), 'a b')
  t.equal(required({ security: [{ oauth: ['a'] }, { basic: [] }] }), 'a')
  t.equal(required({ security: [{ basic: [] }] }), 'authenticated')
  t.equal(required({ security: [{ key: ['role'] }] }), 'authenticated', 'a role is no scope')
  t.equal(required({ security: [{ oauth: ['a'] }, {}] }), 'public')
  t.equal(required({ security: [] }), 'public')
})

t.test(
  'standard: an operation overrides the document, and of nothing at all the operator decides',
  async (t) => {
    const security = [{ oauth: ['top'] }]
    t.equal(required({}, standard, { security }), 'top')
    t.equal(required({ security: [{ oauth: ['own'] }] }, standard, { security }), 'own')
    t.equal(required({ security: [] }, standard, { security }), 'public')
    t.equal(required({}), 'authenticated')
    t.equal(required({}, { ...standard, undeclared: 'public' }), 'public')
  },
)

t.test('fastapi-all: every scope named is required, and naming none is saying nothing', async (t) => {
  t.equal(required({ security: [{ oauth: ['a', 'b'] }, { basic: [] }] }, fastapi), 'a b')
  t.equal(required({ security: [{ oauth: ['a'] }, {}] }, fastapi), 'a')
  for (const operation of [
    {},
    { security: [] },
    { security: [{ basic: [] }] },
    { security: [{ oauth: [] }] },
  ]) {
    t.equal(required(operation, fastapi), 'public')
    t.equal(required(operation, { ...fastapi, undeclared: 'authenticated' }), 'authenticated')
  }
})

t.test('a path item may be a chain of references into the document', async (t) => {
  const reading = read({
    components: {
      securitySchemes,
      pathItems: { 'x/~y': { $ref: '#/paths/~1b' } },
    },
    paths: {
      '/a': { $ref: '#/components/pathItems/x~1~0y' },
      '/b': { post: {}, parameters: [], 'x-more': 1 },
    },
  })
  t.strictSame(reading.ok && reading.rules.map(({ template, methods }) => [template, methods]), [
    ['/a', ['POST']],
    ['/b', ['POST']],
  ])
  t.equal(reading.ok && reading.version, '1.2.3')
})

t.test('every fault is reported, with its place', async (t) => {
  t.strictSame(
    faults({
      openapi: '2.0',
      paths: {
        '/remote': { $ref: 'https://elsewhere.example/x.json' },
        '/file': { $ref: './other.json#/a' },
        '/circle': { $ref: '#/components/pathItems/a' },
        '/gone': { $ref: '#/constructor' },
        '/beside': { $ref: '#/paths/~1list', get: {} },
        '/list': [],
        no: {},
        '/{a': { get: 1 },
        '/..': {},
        '/q?x': {},
        '/%2f': {},
        '/\ud800': {},
        '/s': {
          get: { security: {} },
          put: { security: ['x', { unknown: [] }, { oauth: 'a' }] },
          post: { security: [{ oauth: ['a b'] }] },
        },
      },
      components: {
        securitySchemes,
        pathItems: { a: { $ref: '#/components/pathItems/b' }, b: { $ref: '#/components/pathItems/a' } },
      },
    }),
    [
      '/openapi only OpenAPI 3.0 and 3.1 are understood',
      '/paths/~1remote/$ref only references into this document are followed',
      '/paths/~1file/$ref only references into this document are followed',
      '/components/pathItems/b/$ref the references go in a circle',
      '/paths/~1gone/$ref there is nothing at #/constructor',
      '/paths/~1beside/$ref operations beside a reference have no defined meaning',
      '/paths/~1list this must be an object',
      '/paths/no it does not begin with /',
      '/paths/~1{a the segment {a cannot be part of a path',
      '/paths/~1{a/get this must be an object',
      '/paths/~1.. the segment .. cannot be part of a path',
      '/paths/~1q?x a path has no query and no fragment',
      '/paths/~1%2f the segment %2f cannot be part of a path',
      '/paths/~1\ud800 the segment \ud800 cannot be part of a path',
      '/paths/~1s/get/security this must be a list',
      '/paths/~1s/put/security/0 this must be an object',
      '/paths/~1s/put/security/1/unknown there is no security scheme of this name',
      '/paths/~1s/put/security/2/oauth this must be a list of scopes',
      '/paths/~1s/post/security/0/oauth this must be a list of scopes',
    ],
  )
  t.strictSame(faults({ paths: undefined }), ['/paths there are no paths'])
})

t.test('what is no document is refused', async (t) => {
  for (const text of ['', '{', '[]', 'null', '"x"']) t.equal(readOpenApi(text, standard).ok, false, text)
  const deep = '['.repeat(1_000_000)
  t.equal(readOpenApi(deep, standard).ok, false)
})

t.test('a document of 16 MiB is read and one byte more is not', async (t) => {
  const text = JSON.stringify(document({}))
  const padded = text + ' '.repeat(16 * 1024 * 1024 - text.length)
  t.equal(readOpenApi(padded, standard).ok, true)
  t.strictSame(readOpenApi(`${padded} `, standard), {
    ok: false,
    faults: [{ pointer: '', message: 'the document is larger than 16 MiB' }],
  })
})
