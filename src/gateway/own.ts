import { chmod } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { createServer } from '../admin/server.ts'
import type { Part } from '../admin/server.ts'
import type { Config } from '../config/schema.ts'
import { listen } from '../edge/server.ts'
import type { Address } from '../edge/server.ts'

/** What is for operators and supervisors, besides the edge. */
export interface OwnListeners {
  /** @returns where each listens. @throws PosternError `listen_failed` */
  open(): Promise<{ readonly probes: string | undefined; readonly admin: string | undefined }>
  close(): Promise<void>
}

/** @param administering what stands behind the admin listener, which may have a name besides its addresses */
export function ownListeners(
  { probes, admin }: Config['listen'],
  probing: Part,
  administering: (name: string | undefined) => Part,
): OwnListeners {
  const administer = administering(admin !== 'off' && admin.kind === 'tcp' ? admin.host : undefined)
  const forAdmin = areOne(probes, admin) ? createServer(probing, administer) : createServer(administer)
  const forProbes = areOne(probes, admin) ? forAdmin : createServer(probing)
  return {
    async open() {
      await Promise.all([forProbes.ready(), forAdmin.ready()])
      const at = await unlessOff(admin, (address) => listen(forAdmin.server, address, 'listen.admin'))
      // Whoever may write to it may do whatever an operator may.
      if (admin !== 'off' && admin.kind === 'unix') await chmod(admin.path, 0o600)
      if (forProbes === forAdmin) return { probes: at, admin: at }
      return {
        probes: await unlessOff(probes, (address) => listen(forProbes.server, address, 'listen.probes')),
        admin: at,
      }
    },
    async close() {
      await Promise.all([forProbes.close(), forAdmin.close()])
    },
  }
}

/** Probes and admin may share a listener; any port that is free is two of them. */
function areOne(a: Address | 'off', b: Address | 'off'): boolean {
  if (a === 'off' || b === 'off') return false
  return isDeepStrictEqual(a, b) && (a.kind === 'unix' || a.port !== 0)
}

export async function unlessOff(
  address: Address | 'off',
  open: (address: Address) => Promise<string>,
): Promise<string | undefined> {
  return address === 'off' ? undefined : open(address)
}
