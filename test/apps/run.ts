/**
 * `npm run stand-in`: what the author of an app tests against, in one command and with nothing installed: a stand-in
 * RomM that answers as the recorded one does, Postern in front of it, and credentials of every kind, good and bad. Ends
 * with Ctrl-C or SIGTERM.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { table } from '../../src/cli/table.ts'
import { startGateway } from '../../src/gateway/gateway.ts'
import { systemClock } from '../../src/identity/clock.ts'
import { createLogger } from '../../src/observe/log.ts'
import { configOf, inFolder } from '../support/gateway.ts'
import { readFixture } from '../support/romm/facts.ts'
import { startStandin } from '../support/romm/standin.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8090' },
    'romm-port': { type: 'string', default: '8080' },
    version: { type: 'string', default: '5.2.0' },
    kiosk: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    log: { type: 'boolean', default: false },
  },
})

/** The recorded credentials that an app should have met, and what each of them is. */
const SHOWN = {
  'session vera': 'a browser session',
  'basic vera': 'name and password',
  'jwt vera all': 'an access token',
  'rmm vera all': 'a client token',
  'rmm admin all': "an admin's client token",
  'rmm admin roms.read': 'a client token with one scope',
  'rmm expired': 'a client token that is over',
  'rmm unknown': 'a client token that was revoked',
  'jwt expired': 'an access token that is over',
  'session unknown': 'a session that is over',
  'basic wrong password': 'a wrong password',
} as const satisfies Readonly<Record<string, string>>

const { secret, credentials } = readFixture()
const folder = await mkdtemp(join(tmpdir(), 'postern-stand-in-'))
const { version, kiosk } = values
const romm = await startStandin({ port: Number(values['romm-port']), version, kiosk })
const config = configOf({
  ...inFolder(folder),
  'listen.edge': `127.0.0.1:${values.port}`,
  'listen.probes': 'off',
  'listen.admin': 'off',
  'upstream.url': romm.url,
  'romm.secret': secret,
  'romm.kiosk': String(kiosk),
  ...Object.fromEntries(values.set.map(assignment)),
})
const level = values.log ? 'info' : 'silent'
const gateway = await startGateway(config, {
  clock: systemClock,
  logger: createLogger(level, { write: (line) => void process.stderr.write(line) }),
})

const shown = Object.entries(SHOWN).map(([name, what]) => {
  const { authorization = null, cookie = null } = credentials[name] ?? {}
  return {
    name,
    what,
    header: authorization === null ? `Cookie: ${cookie}` : `Authorization: ${authorization}`,
  }
})
const postern = `http://${gateway.edge}`
if (values.json) console.log(JSON.stringify({ postern, romm: romm.url, credentials: shown }))
else {
  console.log(`Postern      ${postern}`)
  console.log(`RomM ${version}   ${romm.url} (a stand-in)\n`)
  for (const line of table(
    ['CREDENTIAL', 'HEADER'],
    shown.map(({ what, header }) => [what, header]),
  ))
    console.log(line)
  console.log(`\ncurl -i -H '${shown[3]?.header}' ${postern}/-/postern/me`)
}

function assignment(text: string): [string, string] {
  const [setting = '', value = ''] = text.split(/=(.*)/s)
  return [setting, value]
}

let ending = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void end())
}

async function end(): Promise<void> {
  if (ending) return
  ending = true
  await gateway.close()
  await romm.close()
  await rm(folder, { recursive: true, force: true })
}
