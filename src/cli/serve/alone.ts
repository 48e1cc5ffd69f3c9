import type { Config } from '../../config/schema.ts'
import { diagnose } from '../../gateway/doctor/doctor.ts'
import { startGateway } from '../../gateway/gateway.ts'
import type { GatewayContext } from '../../gateway/gateway.ts'
import { placeOf } from './running.ts'
import type { Running } from './running.ts'

/** One process, which is all there is. @throws PosternError */
export async function startAlone(config: Config, context: GatewayContext): Promise<Running> {
  const gateway = await startGateway(config, context)
  return {
    at: () => ({ ...placeOf(gateway), probes: gateway.probes, admin: gateway.admin }),
    health: () => gateway.health(),
    diagnose: (given) => diagnose({ config: given, runtime: gateway.runtime, clock: context.clock }),
    reload: (next) => gateway.reload(next),
    async restart() {
      context.logger.warn('not restarted: one process cannot take its own place (workers)')
    },
    broken: new Promise<never>(() => undefined),
    close: () => gateway.close(),
  }
}
