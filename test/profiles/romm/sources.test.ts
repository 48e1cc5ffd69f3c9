import { execFile } from 'node:child_process'
import { connect as connectSocket, createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { NamedUser, SessionRecord, Source } from '../../../src/directory/records.ts'
import { sha256 } from '../../../src/directory/digest.ts'
import { openDatabase, type DatabaseAddress } from '../../../src/profiles/romm/database.ts'
import { RommSources } from '../../../src/profiles/romm/sources.ts'
import { RommSessionStore } from '../../../src/profiles/romm/sessions.ts'
import { behaviourOf } from '../../../src/profiles/romm/version.ts'
import { EDIT_SCOPES, FULL_SCOPES, READ_SCOPES, WRITE_SCOPES } from './scopes.ts'
import { execute, type Database } from '../../support/database.ts'
import { freshMariadb, freshPostgres, freshRedis } from '../../support/services.ts'
import { readFixture } from '../../support/romm/facts.ts'
import { fillRomm, fillSessions } from '../../support/romm/fixture.ts'
import { createReader, createRommSchema, type Generation } from '../../support/romm/schema.ts'

const fixture = readFixture()
const couldNotCheck = (message: RegExp): { code: string; message: RegExp } => ({
  code: 'could_not_check',
  message,
})

interface Stage {
  readonly db: Database
  readonly sources: RommSources
}

function addressOf({ kind, database, ...rest }: Database): DatabaseAddress {
  return {
    ...rest,
    driver: kind === 'postgres' ? 'postgresql' : 'mariadb',
    name: database,
    poolSize: 4,
    tls: false,
  }
}

function open(t: Test, db: Database, options: { version?: string; kiosk?: boolean } = {}): RommSources {
  const kysely = openDatabase(addressOf(db), 1_000)
  t.teardown(() => kysely.destroy())
  const { version = '5.2.0', kiosk = false } = options
  return new RommSources({ db: kysely, kiosk, behaviour: () => behaviourOf(version) })
}

type Fresh = (t: Test) => Promise<Database>

async function filled(t: Test, fresh: Fresh, generation: Generation): Promise<Stage> {
  const db = await fresh(t)
  await createRommSchema(db, generation)
  await fillRomm(db, generation)
  return { db, sources: open(t, await createReader(db, generation)) }
}

const one = async <V extends object>(source: Source<V>, key: string): Promise<V | undefined> =>
  (await source.load([key], new Map())).get(key)

/** Of a user's record, by name. */
async function scopesOf(sources: RommSources, name: string): Promise<readonly string[]> {
  const named = await one(sources.usersByName, name)
  return named?.kind === 'user' ? named.user.scopes.names.toSorted() : [String(named?.kind)]
}

const idOf = (named: NamedUser | undefined): string | undefined =>
  named?.kind === 'user' ? named.user.id : named?.kind

const ALWAYS_ON = ['me.read', 'me.write', 'roms.user.read', 'roms.user.write']
const SCOPES: Record<Generation, Record<string, readonly string[]>> = {
  1: {
    admin: FULL_SCOPES,
    vera: WRITE_SCOPES,
    edith: EDIT_SCOPES,
    gus: WRITE_SCOPES,
    ovid: WRITE_SCOPES,
    dora: WRITE_SCOPES,
    olga: WRITE_SCOPES,
  },
  2: {
    admin: FULL_SCOPES,
    vera: WRITE_SCOPES,
    edith: EDIT_SCOPES,
    gus: [...ALWAYS_ON, 'collections.read', 'collections.write', 'platforms.read', 'roms.read'],
    // `logs.write` is no scope, `roms.read` is taken from her.
    ovid: [...WRITE_SCOPES.filter((scope) => scope !== 'roms.read'), 'tasks.run', 'users.read'],
    dora: WRITE_SCOPES,
    olga: WRITE_SCOPES,
  },
}

const databases: Record<string, Fresh> = {
  MariaDB: (t) => freshMariadb(t),
  PostgreSQL: freshPostgres,
}

for (const [name, fresh] of Object.entries(databases)) {
  for (const generation of [1, 2] satisfies Generation[]) {
    t.test(`${name}, schema ${generation}: users and tokens as RomM has them`, async (t) => {
      const { sources } = await filled(t, fresh, generation)
      t.equal(await sources.probe(), generation === 1 ? 'roles' : 'groups', 'the GRANTs are enough')

      for (const [username, scopes] of Object.entries(SCOPES[generation])) {
        t.same(await scopesOf(sources, username), scopes.toSorted(), username)
      }
      const ids = fixture.users.map(({ id }) => String(id))
      const users = await sources.usersById.load([...ids, '99', '0'], new Map())
      t.same([...users.keys()].toSorted(), ids)
      t.same(
        fixture.users.map(({ id }) => users.get(String(id))?.enabled),
        fixture.users.map(({ enabled }) => enabled),
      )
      t.equal(users.get('2')?.passwordHash, fixture.users[1]?.hashed_password)
      t.equal(users.get('7')?.passwordHash, undefined, "an OIDC user's UUID is no hash")
      t.ok([...users.values()].every((user) => Object.isFrozen(user)))
      t.equal(users.get('1')?.role, 'admin')

      const digests = fixture.client_tokens.map((token) => token.hashed_token)
      const tokens = await sources.tokens.load([...digests, sha256('unknown')], new Map())
      t.equal(tokens.size, digests.length)
      for (const row of fixture.client_tokens) {
        const token = tokens.get(row.hashed_token)
        t.match(token, { id: String(row.id), userId: String(row.user_id) })
        t.same(token?.scopes, row.scopes.split(' '))
        t.equal(token?.expiresAt === undefined, row.expires === null)
      }
      const again = await sources.tokens.load(digests, tokens)
      t.same(again, tokens, 'by id they are the same')
      t.same(await sources.usersByName.load([], new Map()), new Map())
    })
  }

  t.test(`${name}: a token that was rotated or deleted is gone, by digest and by id`, async (t) => {
    const { db, sources } = await filled(t, fresh, 2)
    const [first, second] = fixture.client_tokens
    const digests = [first?.hashed_token ?? '', second?.hashed_token ?? '']
    const known = await sources.tokens.load(digests, new Map())
    t.equal(known.size, 2)
    await execute(db, [
      `update client_tokens set hashed_token = '${sha256('rotated')}' where id = ${first?.id}`,
      `delete from client_tokens where id = ${second?.id}`,
    ])
    for (const cached of [known, new Map()]) {
      const found = await sources.tokens.load(digests, cached)
      t.same(
        digests.map((digest) => found.get(digest)),
        [undefined, undefined],
      )
    }
    t.match(await one(sources.tokens, sha256('rotated')), { id: String(first?.id) })
  })

  t.test(`${name}: names are compared as the database does it`, async (t) => {
    const { db, sources } = await filled(t, fresh, 2)
    const asked = [
      'vera',
      'VERA',
      'vëra',
      'vera ',
      've%',
      'vera\\',
      "vera' or '1'='1",
      '',
      'a\0b',
      'ü'.repeat(256),
    ]
    const found = await sources.usersByName.load(asked, new Map())
    const same = name === 'MariaDB' ? ['2', '2', '2', '2'] : ['2', '2', undefined, undefined]
    t.same(
      asked.map((key) => idOf(found.get(key))),
      [...same, ...asked.slice(4).map(() => undefined)],
    )
    for (const key of ['a\0b', '', 'x'.repeat(256), '🎮', '\ud800']) {
      t.equal(await one(sources.usersByName, key), undefined, JSON.stringify(key))
    }
    if (name === 'MariaDB') return
    await execute(db, ["insert into users (username, enabled, role) values ('Vera', true, 'admin')"])
    t.equal(idOf(await one(sources.usersByName, 'vera')), 'ambiguous')
  })

  t.test(
    `${name}: users of one group hold one set, and hold it still when they are read again`,
    async (t) => {
      const { sources } = await filled(t, fresh, 2)
      const setOf = async (id: string) => (await one(sources.usersById, id))?.scopes
      const users = await sources.usersById.load(['2', '5', '6'], new Map())
      t.ok(users.get('2')?.scopes)
      t.equal(users.get('2')?.scopes, users.get('6')?.scopes)
      t.not(users.get('2')?.scopes, users.get('5')?.scopes, 'who has rights of their own holds other ones')
      t.equal(await setOf('2'), users.get('2')?.scopes)
      t.equal(await setOf('5'), users.get('5')?.scopes)
    },
  )

  t.test(`${name}: five hundred names are one question`, async (t) => {
    const { sources } = await filled(t, fresh, 2)
    const names = Array.from({ length: 500 }, (_, i) => (i % 5 === 0 ? 'gus' : `nobody${i}`))
    const found = await sources.usersByName.load([...new Set(names)], new Map())
    t.same([...found.keys()], ['gus'])
  })

  t.test(`${name}: what somebody may do follows every table that says so`, async (t) => {
    const { db, sources } = await filled(t, fresh, 2)
    const moves: [string, string, readonly string[]][] = [
      ['update permission_groups set is_default = (id = 3)', 'vera', SCOPES[2]['gus'] ?? []],
      ['update permission_groups set is_default = false', 'vera', ALWAYS_ON],
      ['update users set permission_group_id = 2 where id = 2', 'vera', EDIT_SCOPES],
      [
        "delete from permission_group_grants where group_id = 2 and entity <> 'roms'",
        'edith',
        [...ALWAYS_ON, 'roms.read', 'roms.write'],
      ],
      ['delete from permission_groups where id = 2', 'edith', ALWAYS_ON],
      ['delete from user_permission_overrides where user_id = 5', 'ovid', ALWAYS_ON],
      ["update users set role = 'admin' where id = 5", 'ovid', FULL_SCOPES],
      ["update users set role = 'somebody' where id = 5", 'ovid', ALWAYS_ON],
    ]
    for (const [statement, username, scopes] of moves) {
      await execute(db, [statement])
      t.same(await scopesOf(sources, username), scopes.toSorted(), statement)
    }
    await execute(db, ['update users set enabled = false where id = 2'])
    t.equal((await one(sources.usersById, '2'))?.enabled, false)
  })

  t.test(`${name}: kiosk mode takes from each what it takes in that version`, async (t) => {
    const groups = await filled(t, fresh, 2)
    const roles = await filled(t, fresh, 1)
    for (const [db, version, vera, edith, gus] of [
      [roles.db, '4.9.2', READ_SCOPES, EDIT_SCOPES, READ_SCOPES],
      [
        groups.db,
        '5.1.0',
        READ_SCOPES,
        READ_SCOPES,
        SCOPES[2]['gus']?.filter((scope) => READ_SCOPES.includes(scope)),
      ],
      [groups.db, '5.2.0', WRITE_SCOPES, EDIT_SCOPES, SCOPES[2]['gus']],
    ] as const) {
      const sources = open(t, db, { version, kiosk: true })
      t.same(await scopesOf(sources, 'admin'), FULL_SCOPES.toSorted(), `admin in ${version}`)
      t.same(await scopesOf(sources, 'vera'), vera.toSorted(), `vera in ${version}`)
      t.same(await scopesOf(sources, 'edith'), edith.toSorted(), `edith in ${version}`)
      t.same(await scopesOf(sources, 'gus'), gus?.toSorted(), `gus in ${version}`)
    }
  })

  t.test(`${name}: instants are UTC wherever Postern runs`, async (t) => {
    const { db } = await filled(t, fresh, 2)
    await execute(db, ["update client_tokens set expires_at = '2030-01-02 03:04:05' where id = 1"])
    const script = new URL('./expiry.ts', import.meta.url).pathname
    const argument = JSON.stringify([addressOf(db), fixture.client_tokens[0]?.hashed_token])
    for (const TZ of ['UTC', 'America/New_York', 'Asia/Kathmandu']) {
      const env = { ...process.env, TZ }
      const { stdout } = await promisify(execFile)(process.execPath, [script, argument], { env })
      t.equal(stdout, String(Date.UTC(2030, 0, 2, 3, 4, 5)), TZ)
    }
  })

  t.test(`${name}: RomM is upgraded, and taken back, while Postern runs`, async (t) => {
    const db = await fresh(t)
    const sources = open(t, db)
    await t.rejects(sources.probe(), couldNotCheck(/does not hold RomM's tables/))
    await createRommSchema(db, 1)
    await fillRomm(db, 1)
    t.same(await scopesOf(sources, 'edith'), EDIT_SCOPES.toSorted())
    const tables = [
      ...['client_tokens', 'devices', 'user_permission_overrides', 'users'],
      ...['permission_group_grants', 'permission_groups', 'alembic_version'],
    ]
    const drop = tables.map((table) => `drop table if exists ${table}`)
    const dropType = db.kind === 'postgres' ? ['drop type role'] : []
    await execute(db, [...drop, ...dropType])
    await createRommSchema(db, 2)
    await fillRomm(db, 2)
    t.same(await scopesOf(sources, 'gus'), SCOPES[2]['gus']?.toSorted())
    await execute(db, drop)
    await createRommSchema(db, 1)
    await fillRomm(db, 1)
    t.same(await scopesOf(sources, 'gus'), WRITE_SCOPES.toSorted())
  })

  t.test(`${name}: what is wrong with the access to it is said in a sentence`, async (t) => {
    const { db } = await filled(t, fresh, 2)
    const reader = await createReader(db, 2)
    const user = db.kind === 'mariadb' ? `${reader.user}@'%'` : reader.user
    const wrong = /refuses the user, its password or the database name/
    await t.rejects(open(t, { ...reader, password: 'wrong' }).probe(), couldNotCheck(wrong))
    await t.rejects(open(t, { ...reader, user: 'nobody' }).probe(), couldNotCheck(wrong))
    await t.rejects(open(t, { ...reader, database: 'nowhere' }).probe(), couldNotCheck(wrong))
    await t.rejects(open(t, { ...reader, port: 1 }).probe(), couldNotCheck(/does not answer/))
    for (const column of ['users', 'client_tokens', 'user_permission_overrides', 'permission_groups']) {
      const columns = { users: '(hashed_password)', client_tokens: '(scopes)' }[column] ?? ''
      const back = {
        user_permission_overrides: '(user_id, entity, action, granted)',
        permission_groups: '(id, is_default)',
      }
      const granted = columns || back[column as keyof typeof back]
      await execute(db, [`revoke select ${granted} on ${column} from ${user}`])
      await t.rejects(open(t, reader).probe(), couldNotCheck(/may not read a table or column.*GRANT/), column)
      await execute(db, [`grant select ${granted} on ${column} to ${user}`])
    }
    await t.resolves(open(t, reader).probe())
  })

  t.test(`${name}: a server that is silent or gone gives its connections back`, async (t) => {
    const { db } = await filled(t, fresh, 2)
    const line = await breakableLine(t, db)
    const sources = open(t, { ...db, port: line.port })
    t.equal(idOf(await one(sources.usersByName, 'vera')), '2')
    line.hold()
    const held = Array.from({ length: 10 }, () => one(sources.usersByName, 'vera'))
    const outcomes = await Promise.allSettled(held)
    t.ok(outcomes.every(({ status }) => status === 'rejected'))
    line.mend()
    t.equal(idOf(await one(sources.usersByName, 'vera')), '2', 'over a new connection')
    line.cut()
    await t.rejects(one(sources.usersByName, 'vera'), couldNotCheck(/does not answer/))
    line.mend()
    t.equal(idOf(await one(sources.usersByName, 'vera')), '2')
  })
}

/** A network between Postern and a database. */
async function breakableLine(t: Test, db: Database) {
  let state: 'whole' | 'held' | 'cut' = 'whole'
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer((near) => {
    if (state === 'cut') return near.destroy()
    const far = connectSocket(db.port, db.host)
    const pair = [near, far] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [far, near]] as const) {
      from.on('data', (data) => state === 'whole' && to.write(data))
      from.on('error', () => undefined)
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
    }
    return undefined
  })
  const end = (): void => {
    for (const [near] of pairs) near.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    end()
    server.close()
  })
  const address = server.address()
  return {
    port: typeof address === 'object' ? (address?.port ?? 0) : 0,
    /** Bytes vanish, as behind a firewall that forgot the connection. */
    hold: () => void (state = 'held'),
    cut(): void {
      state = 'cut'
      end()
    },
    mend: () => void (state = 'whole'),
  }
}

t.test('MariaDB in latin1: a name that its columns cannot hold is nobody', async (t) => {
  const { sources } = await filled(t, (test) => freshMariadb(test, 'latin1'), 2)
  t.equal(idOf(await one(sources.usersByName, 'Vera')), '2')
  t.equal(idOf(await one(sources.usersByName, 'vëra')), '2')
  for (const key of ['вера', '🎮', 'vera\u0301']) t.equal(await one(sources.usersByName, key), undefined, key)
  const together = await sources.usersByName.load(['вера', 'vera', '🎮', 'admin', 'olga'], new Map())
  t.same([...together.keys()].sort(), ['admin', 'olga', 'vera'], 'those that came with it are somebody')
  t.match(await one(sources.tokens, fixture.client_tokens[0]?.hashed_token ?? ''), { id: '1' })
})

t.test('MariaDB without backslash escapes: a name stays a name', async (t) => {
  const { db, sources } = await filled(t, (test) => freshMariadb(test), 2)
  const admin = { ...db, database: '' }
  await execute(admin, ["set global sql_mode = concat(@@global.sql_mode, ',NO_BACKSLASH_ESCAPES')"])
  t.teardown(() =>
    execute(admin, ["set global sql_mode = replace(@@global.sql_mode, 'NO_BACKSLASH_ESCAPES', '')"]),
  )
  const attack = "\\') or id = 1 -- "
  t.equal(await one(sources.usersByName, attack), undefined)
  t.equal(idOf(await one(sources.usersByName, 'vera')), '2')
})

t.test('sessions as RomM keeps them in its Redis', async (t) => {
  const server = await freshRedis(t)
  const redis = new Redis(server.url)
  t.teardown(() => redis.disconnect())
  await fillSessions(redis)
  const store = new RommSessionStore(redis)
  const known = new Map<string, SessionRecord>()
  for (const { id, data } of fixture.sessions) {
    const session = await store.byId(id)
    t.equal(session?.username, data['iss'] === 'romm:auth' ? data['sub'] : undefined)
    if (session !== undefined) known.set(`digest of ${id}`, session)
  }
  t.equal(known.size, fixture.sessions.length)
  known.set('digest of a dead one', { id: 'dead', username: 'vera', deviceId: undefined })
  const found = await store.load([...known.keys(), 'unknown'], known)
  known.delete('digest of a dead one')
  t.same(found, known, 'in a batch, by their digests')
  const odd = {
    'no JSON': 'romm:auth',
    list: '["romm:auth"]',
    null: 'null',
    text: '"romm:auth"',
    'sub of another type': '{"iss":"romm:auth","sub":2}',
    'empty sub': '{"iss":"romm:auth","sub":""}',
    'no iss': '{"sub":"admin"}',
    'other iss': '{"iss":"romm:oauth","sub":"admin"}',
    'cut off': '{"iss":"romm:auth","sub":"adm',
  }
  for (const [id, text] of Object.entries(odd)) await redis.set(`session:${id}`, text)
  for (const id of Object.keys(odd)) t.equal((await store.byId(id))?.username, undefined, id)
  t.ok(await store.byId('no JSON'), 'it is not dead: RomM alone knows what it is')
  await redis.set('session:device', '{"iss":"romm:auth","sub":"vera","device_id":"d1"}')
  t.same(await store.byId('device'), { id: 'device', username: 'vera', deviceId: 'd1' })
  await redis.sadd('session:set', 'x')
  t.equal(await store.byId('set'), undefined)
})
