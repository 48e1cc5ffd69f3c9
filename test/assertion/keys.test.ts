import { generateKeyPairSync } from 'node:crypto'
import {
  chmod,
  copyFile,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { ALGORITHMS } from '../../src/assertion/algorithm.ts'
import {
  generateKey,
  keepReloading,
  list,
  openKeyRing,
  prune,
  ringsAgree,
  rotate,
} from '../../src/assertion/keys.ts'
import { PosternError } from '../../src/errors.ts'
import { virtualClock } from '../support/clock.ts'
import { MINUTE, SECOND, TIMING, newFolder, openRing } from './setup.ts'

const NOW = Date.UTC(2026, 0, 1)
/** Beyond its last assertion's life a key stays published for as long as clocks may differ. */
const LEEWAY = MINUTE

function unusable(...parts: string[]): { code: string; message: RegExp } {
  const text = parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join('.*')
  return { code: 'keys_unusable', message: new RegExp(text, 's') }
}

t.test('a gateway that is alone makes its first key, and finds it again', async (t) => {
  const folder = newFolder(t)
  const ring = await openRing({ folder })
  t.match(ring.signingKid(), /^20260101T000000000Z-[\w-]{16}$/)
  t.same(await readdir(folder), [`${ring.signingKid()}.pem`], 'and leaves nothing else behind')
  t.equal((await stat(folder)).mode & 0o777, 0o700)
  t.equal((await stat(join(folder, `${ring.signingKid()}.pem`))).mode & 0o777, 0o600)
  t.equal((await openRing({ folder })).signingKid(), ring.signingKid())
})

t.test('a replica does not make keys: it says how', async (t) => {
  const folder = newFolder(t)
  await t.rejects(openRing({ folder, generateWhenEmpty: false }), unusable(folder, '`postern keys generate`'))
  await mkdir(folder, { mode: 0o700 })
  await t.rejects(openRing({ folder, generateWhenEmpty: false }), unusable('`postern keys generate`'))
  await t.rejects(rotate({ folder, now: NOW, ...TIMING }, 'EdDSA'), unusable('`postern keys generate`'))
  t.same(await readdir(folder), [])
})

t.test('a folder that has keys gets no second first key', async (t) => {
  const folder = newFolder(t)
  await generateKey(folder, 'EdDSA', NOW)
  await t.rejects(generateKey(folder, 'EdDSA', NOW), unusable('`postern keys rotate`'))
})

t.test('keys are used as what they are, whatever algorithm new ones shall have', async (t) => {
  for (const algorithm of ALGORITHMS) {
    const folder = newFolder(t)
    const { kid } = await generateKey(join(folder, algorithm), algorithm, NOW)
    const ring = await openRing({ folder: join(folder, algorithm), algorithm: 'EdDSA' })
    t.match(ring.signing(), { kid, algorithm })
  }
})

t.test(
  'a rotation: published, then used, the old one published until its last assertion is dead',
  async (t) => {
    const clock = virtualClock(NOW)
    const folder = newFolder(t)
    const ring = await openRing({ folder, clock })
    const old = ring.signingKid()
    clock.advance(MINUTE)
    const { kid: next, usedFrom } = await rotate({ folder, now: clock.now(), ...TIMING }, 'EdDSA')
    t.equal(usedFrom, clock.now() + TIMING.publishFor)
    await ring.reload()
    const now = (): [string, readonly string[]] => [ring.signingKid(), ring.kids()]

    t.same(now(), [old, [old, next]], 'published at once')
    clock.advance(TIMING.publishFor - 1)
    t.same(now(), [old, [old, next]])
    clock.advance(1)
    t.same(now(), [next, [old, next]], 'used')
    clock.advance(TIMING.lifetime + LEEWAY - 1)
    t.same(now(), [next, [old, next]])
    clock.advance(1)
    t.same(now(), [next, [next]], 'the old one is dead')
  },
)

t.test('list and prune follow the same timeline', async (t) => {
  const folder = newFolder(t)
  const { kid: first } = await generateKey(folder, 'EdDSA', NOW)
  const at = (now: number): Parameters<typeof list>[0] => ({ folder, now, ...TIMING })
  const { kid: second, usedFrom } = await rotate(at(NOW + MINUTE), 'ES256')
  const states = async (now: number): Promise<string[]> => (await list(at(now))).map((row) => row.state)
  const deadAt = usedFrom + TIMING.lifetime + LEEWAY

  t.same(await list(at(NOW + MINUTE)), [
    { kid: first, algorithm: 'EdDSA', createdAt: NOW, state: 'signing', usedFrom: NOW, deadAt },
    {
      kid: second,
      algorithm: 'ES256',
      createdAt: NOW + MINUTE,
      state: 'waiting',
      usedFrom,
      deadAt: undefined,
    },
  ])
  t.same(await states(usedFrom), ['retiring', 'signing'])
  t.same(await prune(at(deadAt - 1)), [])
  t.same(await states(deadAt), ['dead', 'signing'])
  t.same(await prune(at(deadAt)), [first])
  t.same(await readdir(folder), [`${second}.pem`])
  t.same(await prune(at(deadAt + 1e9)), [], 'the last key never dies')
  t.same(await list({ ...at(NOW), folder: newFolder(t) + 'x' }), [], 'no folder, no keys')
})

t.test('without its predecessor a waiting key is used at once', async (t) => {
  const clock = virtualClock(NOW)
  const folder = newFolder(t)
  const ring = await openRing({ folder, clock })
  const stolen = ring.signingKid()
  clock.advance(SECOND)
  const { kid } = await rotate({ folder, now: clock.now(), ...TIMING }, 'EdDSA')
  await rm(join(folder, `${stolen}.pem`))
  await ring.reload()
  t.same([ring.signingKid(), ring.kids()], [kid, [kid]])
})

t.test('a machine whose clock is behind still adds the youngest key', async (t) => {
  const folder = newFolder(t)
  const { kid: first } = await generateKey(folder, 'EdDSA', NOW)
  const { kid: second } = await rotate({ folder, now: NOW - MINUTE, ...TIMING }, 'EdDSA')
  const ring = await openRing({ folder, clock: virtualClock(NOW - MINUTE) })
  t.same([ring.signingKid(), ring.kids()], [first, [first, second]])
})

t.test('two rings on one folder agree at every moment, whatever happened to mtime', async (t) => {
  const clock = virtualClock(NOW)
  const folder = newFolder(t)
  const one = await openRing({ folder, clock })
  for (let i = 0; i < 3; i++) {
    clock.advance(4 * MINUTE)
    await rotate({ folder, now: clock.now(), ...TIMING }, 'EdDSA')
  }
  for (const [i, name] of (await readdir(folder)).entries())
    await utimes(join(folder, name), i, 1e9 - i * 1e6)
  const other = await openRing({ folder, clock, generateWhenEmpty: false })
  await one.reload()
  const seen = new Set<string>()
  for (let minute = 0; minute < 30; minute++) {
    t.same([one.signingKid(), one.kids()], [other.signingKid(), other.kids()])
    t.ok(ringsAgree(one, other))
    seen.add(one.signingKid())
    clock.advance(MINUTE)
  }
  t.equal(seen.size, 4)
  t.equal(one.kids().length, 1)
})

t.test('rings on two folders do not agree; one that has read a new key early does', async (t) => {
  const clock = virtualClock(NOW)
  const folder = newFolder(t)
  const early = await openRing({ folder, clock })
  const late = await openRing({ folder, clock })
  t.notOk(ringsAgree(early, await openRing({ folder: join(t.testdirName, 'other'), clock })))
  clock.advance(SECOND)
  await rotate({ folder, now: clock.now(), ...TIMING }, 'EdDSA')
  await early.reload()
  t.ok(ringsAgree(early, late))
  t.ok(ringsAgree(late, early))
  clock.advance(TIMING.publishFor)
  t.notOk(ringsAgree(early, late), 'until the other should have read it')
  t.notOk(ringsAgree(late, early))
})

t.test('permissions that let others in are refused with the command that mends them', async (t) => {
  const folder = newFolder(t)
  const { kid } = await generateKey(folder, 'EdDSA', NOW)
  const file = join(folder, `${kid}.pem`)
  for (const mode of [0o640, 0o604, 0o622]) {
    await chmod(file, mode)
    await t.rejects(openRing({ folder }), unusable(`chmod 600 ${file}`))
  }
  await chmod(file, 0o400)
  await t.resolves(openRing({ folder }), 'narrower is fine')
  await chmod(folder, 0o750)
  await t.rejects(openRing({ folder }), unusable(`chmod 700 ${folder}`))
})

t.test('a wide folder is refused before a key is put into it', async (t) => {
  const folder = newFolder(t)
  await mkdir(folder)
  await chmod(folder, 0o755)
  await t.rejects(openRing({ folder }), unusable(`chmod 700 ${folder}`))
  t.same(await readdir(folder), [])
})

t.test('a key file that is not what it should be is named', async (t) => {
  const folder = newFolder(t)
  const { kid } = await generateKey(folder, 'EdDSA', NOW)
  const file = join(folder, `${kid}.pem`)
  const good = await readFile(file, 'utf8')
  const pem = { type: 'pkcs8', format: 'pem' } as const
  const locked = { ...pem, cipher: 'aes-256-cbc', passphrase: 'x' }
  const bad = [
    ['', 'does not hold a private key'],
    ['not a key', 'does not hold a private key'],
    [good.slice(0, 60), 'does not hold a private key'],
    [generateKeyPairSync('ed25519').privateKey.export(locked), 'does not hold a private key'],
    [generateKeyPairSync('ed25519').privateKey.export(pem), 'does not hold the key that its name stands for'],
    [generateKeyPairSync('ed448').privateKey.export(pem), 'is of a kind that is not used here'],
    [generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export(pem), 'RSA of 2048 bits or more'],
  ] as const
  for (const [text, says] of bad) {
    await writeFile(file, text)
    await t.rejects(openRing({ folder }), unusable(file, says))
  }
  await writeFile(file, good)
  await t.resolves(openRing({ folder }))
})

t.test('a key under a name that is not its own is named', async (t) => {
  const folder = newFolder(t)
  const { kid } = await generateKey(folder, 'EdDSA', NOW)
  const names = [
    'key.pem',
    kid.replace('20260101', '20251301') + '.pem',
    kid.replace('2026', '2025') + 'A.pem',
  ]
  for (const name of names) {
    await copyFile(join(folder, `${kid}.pem`), join(folder, name))
    await t.rejects(openRing({ folder }), unusable(join(folder, name)))
    await rm(join(folder, name))
  }
  await writeFile(join(folder, 'README'), 'ours')
  await writeFile(join(folder, `.${kid}.pem`), 'half a key')
  t.same((await openRing({ folder })).kids(), [kid], 'other files are passed over')
})

t.test('a folder that cannot be read or written is an error that names it', async (t) => {
  const file = join(t.testdir({ file: '' }), 'file')
  await chmod(file, 0o600)
  await t.rejects(openRing({ folder: file }), unusable(file))
  await t.rejects(openRing({ folder: join(file, 'keys') }), unusable(join(file, 'keys')))
})

t.test('a reload that fails leaves the keys as they were', async (t) => {
  const folder = newFolder(t)
  const ring = await openRing({ folder })
  const kid = ring.signingKid()
  await rename(folder, `${folder}-away`)
  await t.rejects(ring.reload(), unusable(folder))
  t.equal(ring.signingKid(), kid)
})

t.test('the folder is read again on an interval, after failures too, until stopped', async (t) => {
  const clock = virtualClock(NOW)
  const folder = newFolder(t)
  const ring = await openKeyRing({ folder, algorithm: 'EdDSA', clock, generateWhenEmpty: true, ...TIMING })
  let rounds = 0
  const observed = {
    reload: async () => {
      if (++rounds === 1) throw new PosternError('keys_unusable', 'the disk is away')
      await ring.reload()
    },
  }
  const round = async (): Promise<void> => {
    clock.advance(MINUTE)
    // It asks for its next turn when it is done with this one.
    while (clock.waiting === 0) await setImmediate()
  }
  const failures: string[] = []
  const stop = keepReloading({
    ring: observed,
    every: MINUTE,
    clock,
    report: (e) => failures.push(e.message),
  })
  await round()
  t.same(failures, ['the disk is away'])
  const { kid } = await rotate({ folder, now: clock.now(), ...TIMING }, 'EdDSA')
  await round()
  t.ok(ring.kids().includes(kid))
  stop()
  t.equal(clock.waiting, 0)
})

t.test('a folder that is being read when the reading is stopped is not read again', async (t) => {
  const clock = virtualClock(NOW)
  const reading = Promise.withResolvers<void>()
  const ring = { reload: () => reading.promise }
  const stop = keepReloading({ ring, every: MINUTE, clock, report: (failure) => t.fail(failure.message) })
  clock.advance(MINUTE)
  stop()
  reading.resolve()
  await setImmediate()
  t.equal(clock.waiting, 0)
})
