/** Every mode, allowed and refused, through each proxy and in both ways: one table. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { asserted, basic, cameOf, received } from '../attacks/support.ts'
import { freshLadder, isRefusal, lines } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { FILE } from '../support/romm/reply.ts'
import { freshSite, type Recipe, RECIPES } from './site.ts'

const ladder = await freshLadder(t)
const standin = await freshStandin(t)

const token = (as('rmm vera all')['authorization'] ?? '').slice('Bearer '.length)
const AS_PASSWORD = [`Authorization: Basic ${Buffer.from(`vera:${token}`).toString('base64')}`]
const by = (name: string): string[] => lines(as(name))

/** A request, and what becomes of it: `> target` at the backend, or status and reason. */
interface Case {
  readonly what: string
  readonly target: string
  readonly fields?: readonly string[]
  readonly method?: string
  readonly comes: string
  /** Where the edge would send something else on than the client sent. */
  readonly asked?: string
}

const UNCHANGED = '400 needs_rewriting'
const CASES: readonly Case[] = [
  ...['session vera', 'basic vera', 'jwt vera all', 'rmm vera all'].map((mode) => ({
    what: mode,
    target: '/api/roms?search=a%20b',
    fields: by(mode),
    comes: '> /api/roms?search=a%20b',
  })),
  {
    what: 'a client token as password',
    target: '/api/roms',
    fields: AS_PASSWORD,
    comes: '> /api/roms',
    asked: UNCHANGED,
  },
  { what: 'nobody, where that is enough', target: '/api/heartbeat', comes: '> /api/heartbeat' },
  { what: 'HEAD', target: '/api/roms', fields: by('rmm vera all'), method: 'HEAD', comes: '> /api/roms' },
  { what: 'nobody', target: '/api/roms', comes: '401 no_credential' },
  { what: 'HEAD by nobody', target: '/api/roms', method: 'HEAD', comes: '401 no_credential' },
  ...[
    'session unknown',
    'basic wrong password',
    'basic unknown user',
    'jwt expired',
    'jwt wrong key',
    'rmm unknown',
    'rmm expired',
  ].map((bad) => ({ what: bad, target: '/api/roms', fields: by(bad), comes: '401 invalid_credential' })),
  ...[
    'session vera',
    'basic vera',
    'jwt vera all',
    'rmm vera all',
    'jwt admin me.read',
    'rmm admin me.read',
  ].map((mode) => ({
    what: `${mode}, a scope missing`,
    target: '/api/users',
    fields: by(mode),
    comes: '403 insufficient_scope',
  })),
  { what: 'no such route', target: '/api/nowhere', fields: by('session admin'), comes: '404 no_route' },
  { what: 'no such route, nobody', target: '/api/nowhere', comes: '404 no_route' },
  {
    what: 'a path of our own',
    target: '/-/postern/tail',
    fields: by('session admin'),
    comes: '404 no_route',
  },
  { what: 'no such method', target: '/api/heartbeat', method: 'DELETE', comes: '405 method_not_allowed' },
  {
    what: 'a path with two readings',
    target: '/api%2froms',
    fields: by('session admin'),
    comes: '400 ambiguous_target',
  },
  {
    what: 'two credentials',
    target: '/api/roms',
    fields: [...by('session vera'), ...by('jwt vera all')],
    comes: '> /api/roms',
    asked: '400 conflicting_credentials',
  },
  {
    what: 'two slashes',
    target: '//assets/romm/resources/x.png',
    comes: '> /assets/romm/resources/x.png',
    asked: UNCHANGED,
  },
  {
    what: 'a dead session on an open route',
    target: '/api/heartbeat',
    fields: by('session unknown'),
    comes: '> /api/heartbeat',
    asked: '401 invalid_credential',
  },
]

const expected = ({ way, merges }: Recipe, { target, comes, asked = comes }: Case): string =>
  way === 'asking' && !(merges && target.startsWith('//')) ? asked : comes

/** What proxies like to tidy up. */
const TARGETS = [
  ...[
    '/api/roms?search=a%20b&x=%2F..%2f',
    '/api/roms?a?b=//c',
    '/api/roms?q=[x]|{y}',
    '/api/roms?',
    '/api/roms/',
  ],
  ...["/assets/romm/resources/a;b,c'(d)!*@=.png", '/assets/romm/resources/%E3%82%BC%25%23%3F%2520.png'],
  ...[
    '/assets/romm/resources/[1].png',
    '/api/%2e%2e/roms',
    '/api/x/../roms',
    '/api/./roms',
    '/%61pi/roms',
    '/api//roms',
  ],
  ...[
    '/api/roms%3Fa',
    '/api/roms%',
    '/api/roms%zz',
    '/api/roms;x',
    '/api/roms\\x',
    '/api/roms#x',
    '/api/roms%00',
  ],
]

for (const recipe of RECIPES) {
  const { way } = recipe
  t.test(recipe.name, async (t) => {
    const { ask, gateway } = await freshSite(t, recipe, standin, ladder.settings)

    for (const each of CASES) {
      t.test(each.what, async (t) => {
        const { target, fields = [], method } = each
        const wanted = expected(recipe, each)
        const outcome = await ask(t, target, fields, method)
        cameOf(t, outcome, wanted)
        t.equal(outcome.answer.one('x-postern-assertion'), undefined, 'no client is shown one')
        const [status = '', reason = ''] = wanted.split(' ')
        if (status !== '>' && method !== 'HEAD') isRefusal(t, outcome.answer, Number(status), reason)
        if (status === '401') t.match(outcome.answer.one('www-authenticate'), /^Bearer/)
        if (status === '>' && method !== 'HEAD') t.equal(outcome.answer.status, 200)
      })
    }

    t.test('the backend is told who it is, and by one credential alone', async (t) => {
      const known = await ask(t, '/api/roms', by('basic vera'))
      t.match(asserted(known), { sub: '2', preferred_username: 'vera', mode: 'basic' })
      t.same(received(known, /^authorization$/i), [as('basic vera')['authorization']])
      const nobody = await ask(t, '/api/heartbeat')
      t.same(
        received(nobody, /^x-postern-assertion$/i).filter((value) => value !== ''),
        [],
      )
    })

    t.test('what an app reads of a refusal', async (t) => {
      const dead = await ask(t, '/api/roms', by('session unknown'))
      t.match(dead.answer.one('set-cookie'), /^romm_session=/, 'a browser gets rid of its dead session')
      const method = await ask(t, '/api/heartbeat', [], 'DELETE')
      t.match(method.answer.one('allow'), /\bGET\b/)
      const scope = await ask(t, '/api/users', by('rmm vera all'))
      t.match(scope.answer.one('www-authenticate'), /error="insufficient_scope", scope="[^"]*users\.read/)
    })

    t.test('what is decided on is what reaches the backend, byte for byte', async (t) => {
      const passed: string[] = []
      for (const target of TARGETS) {
        const { answer, arrived } = await ask(t, target, by('session admin'))
        const [first] = arrived
        if (first === undefined) {
          t.ok(answer.status >= 400, target)
          continue
        }
        passed.push(target)
        t.equal(arrived.length, 1)
        const decided = gateway.log.filter((line) => line['decision'] === 'permit').at(-1)?.['path']
        t.equal(first.target.replace(/\?.*/s, ''), decided, target)
        if (way === 'asking' && !recipe.merges) t.equal(first.target, target)
      }
      t.ok(passed.length >= 6, 'not all are refused')
    })

    t.test('downloads: whole, in part, and beyond the end', async (t) => {
      const game = '/api/roms/1/content/game.zip'
      const get = async (...fields: string[]) =>
        (await ask(t, game, [...by('rmm admin all'), ...fields])).answer
      const whole = await get()
      t.equal(whole.status, 200)
      t.equal(sha256(Buffer.from(whole.body, 'latin1')), sha256(FILE))
      const part = await get('Range: bytes=1000-1999')
      t.equal(part.status, 206)
      t.equal(part.one('content-range'), `bytes 1000-1999/${FILE.length}`)
      t.equal(sha256(Buffer.from(part.body, 'latin1')), sha256(FILE.subarray(1000, 2000)))
      t.equal((await get('Range: bytes=0-9', 'If-Range: "old"')).status, 200)
      t.equal((await get(`Range: bytes=${FILE.length}-`)).status, 416)
    })

    t.test('what cannot be checked is 503, never 401', async (t) => {
      const site = await freshSite(t, recipe, standin)
      standin.intercept = (_request, response) => {
        response.destroy()
        return true
      }
      t.teardown(() => (standin.intercept = undefined))
      const { answer } = await site.ask(t, '/api/roms', [basic('gus:never seen')])
      if (recipe.mute) t.equal(answer.status, 503)
      else isRefusal(t, answer, 503, 'could_not_check')
    })

    t.test('while Postern is away nothing passes', async (t) => {
      await gateway.gateway.close()
      const { answer, arrived } = await ask(t, '/api/heartbeat', by('session vera'))
      t.ok(answer.status >= 500, answer.head)
      t.same(arrived, [])
    })
  })
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
