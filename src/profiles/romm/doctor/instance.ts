import type { Requirement } from '../../../pipeline/rule.ts'
import { error, fixIn, notice, ok, warning } from '../../finding.ts'
import type { Check, Observation } from '../../finding.ts'
import type { AskUpstream } from '../../profile.ts'
import { askAnonymously } from '../ask.ts'
import type { Heartbeat } from '../ask.ts'
import { proveSecret } from '../secret.ts'
import type { SecretProof } from '../secret.ts'
import { KNOWN_RELEASES, knowledgeOf } from '../version.ts'

export interface InstanceToExamine {
  readonly ask: AskUpstream
  /** Whatever is configured. */
  readonly version: string | undefined
  readonly secret: string | undefined
  readonly kiosk: boolean
  readonly firstRun: 'closed' | 'open'
  /** Whether the secret was right since this process began. */
  readonly wasRight: boolean
  /** What a request requires here; undefined where there is no such route. */
  readonly requires: (method: string, path: string) => Promise<Requirement | undefined>
}

/** What RomM itself shows to a stranger, and whether the configuration fits it. */
export function instanceChecks(given: InstanceToExamine, heartbeat: Promise<Heartbeat>): Check[] {
  type Look = (given: InstanceToExamine, heartbeat: Heartbeat) => Observation
  // Where it says nothing, `romm` says so.
  const heard = (look: Look) => () =>
    heartbeat.then(
      (said) => [look(given, said)],
      () => [],
    )
  return [
    { id: 'romm', look: () => isRomm(given.ask, heartbeat) },
    { id: 'romm.version', look: heard(release) },
    { id: 'romm.secret', look: heard(secret) },
    { id: 'romm.firstRun', look: heard(firstRun) },
    { id: 'romm.kiosk', look: async () => [kiosk(given, (await askAnonymously(given.ask)).kiosk)] },
    { id: 'romm.downloads', look: async () => [downloads(await given.requires('GET', A_DOWNLOAD))] },
  ]
}

const A_DOWNLOAD = '/api/roms/1/content/game.zip'
const WEB_SERVER = fixIn('configuration', 'upstream: { url: http://romm:8080 }')

/** RomM fact: files are served by the web server of its image, which answers every other path with its start page. */
async function isRomm(ask: AskUpstream, heartbeat: Promise<Heartbeat>): Promise<Observation[]> {
  try {
    await heartbeat
  } catch {
    return [error('what is at upstream.url does not answer as RomM does', WEB_SERVER)]
  }
  const { status } = await ask('/', { Accept: 'text/html' })
  return status === 404
    ? [error("upstream.url leads past RomM's web server, which alone serves files", WEB_SERVER)]
    : [ok('RomM answers')]
}

function release({ version: configured }: InstanceToExamine, { version }: Heartbeat): Observation {
  if (configured !== undefined && version !== undefined && configured !== version) {
    const line = fixIn('configuration', 'romm:', `  version: ${version}`)
    return warning(`RomM is ${version}, and romm.version says ${configured}`, line)
  }
  const known = `${KNOWN_RELEASES.from} to ${KNOWN_RELEASES.to}`
  switch (knowledgeOf(version)) {
    case 'known':
      return ok(`RomM ${version}`)
    case 'older':
      return warning(`RomM ${version} is older than what was looked at (${known}): update it`)
    case 'newer':
      return notice(`RomM ${version} is newer than what was looked at (${known}) and is taken to be alike`)
    case 'unnamed':
      return notice(
        `RomM does not name its release (${version ?? 'nothing'}) and is taken to be ${KNOWN_RELEASES.to}`,
        fixIn('configuration', 'romm:', `  version: ${KNOWN_RELEASES.to}.0`),
      )
  }
}

const FIXED_SECRET = [
  fixIn('backend', 'ROMM_AUTH_SECRET_KEY=…   # fixed, the same here and there: openssl rand -hex 32'),
  fixIn('configuration', 'romm:', '  secret: ${ROMM_AUTH_SECRET_KEY}'),
]

/** RomM fact: without the variable it makes up a secret at each start. */
function secret({ secret: configured, wasRight }: InstanceToExamine, { setCookies }: Heartbeat): Observation {
  if (configured === undefined) {
    return notice(
      'romm.secret is not given: access tokens are asked of RomM; if RomM has none either, it makes one at each start and they all end then',
      ...FIXED_SECRET,
    )
  }
  const found: Readonly<Record<SecretProof, () => Observation>> = {
    right: () => ok('romm.secret is what RomM signs with'),
    unproven: () =>
      notice('whether romm.secret is what RomM signs with did not show: it set no romm_csrftoken'),
    wrong: () =>
      wasRight
        ? error('RomM signs with another secret than before: it makes one at each start', ...FIXED_SECRET)
        : error(
            'romm.secret is not what RomM signs with: it is another one, or RomM was given none and makes one at each start',
            ...FIXED_SECRET,
          ),
  }
  return found[proveSecret(configured, setCookies)]()
}

function firstRun({ firstRun: configured }: InstanceToExamine, { awaitsFirstAdmin }: Heartbeat): Observation {
  const close = fixIn('configuration', 'romm:', '  firstRun: closed')
  if (!awaitsFirstAdmin) {
    return configured === 'closed'
      ? ok('RomM has an admin')
      : notice('RomM has an admin, so romm.firstRun: open is of no more use', close)
  }
  return configured === 'open'
    ? error('RomM has no admin: whoever comes first through Postern makes themselves one. Do it now', close)
    : warning(
        'RomM has no admin: whoever reaches it past Postern makes themselves one. Through Postern it is closed; to set it up there:',
        fixIn('configuration', 'romm:', '  firstRun: open'),
      )
}

function kiosk({ kiosk: configured }: InstanceToExamine, isOn: boolean): Observation {
  const line = fixIn('configuration', 'romm:', `  kiosk: ${String(isOn)}`)
  if (isOn && configured) return notice('kiosk mode is on: everybody may read', KIOSK_OFF, NO_KIOSK)
  if (isOn)
    return warning('RomM is in kiosk mode, where everybody may read, and Postern asks them to sign in', line)
  return configured
    ? warning('romm.kiosk is on and RomM is not in kiosk mode', line)
    : ok('kiosk mode is off: visitors may not read')
}

const KIOSK_OFF = fixIn('backend', 'KIOSK_MODE=false')
const NO_KIOSK = fixIn('configuration', 'romm:', '  kiosk: false')

function downloads(requirement: Requirement | undefined): Observation {
  if (requirement === undefined) return notice('which routes RomM has could not be read')
  return requirement.kind === 'public'
    ? warning(
        'everybody may download games',
        fixIn('backend', 'DISABLE_DOWNLOAD_ENDPOINT_AUTH=false'),
        fixIn('configuration', 'rules:', "  - { path: '/api/roms/*/content/**', scopes: [roms.read] }"),
      )
    : ok('downloads need a credential')
}
