import { printRows, formatRows } from '../routes/print.ts'
import { parseCommand } from './arguments.ts'
import { CONFIG_OPTIONS } from './configure.ts'
import type { CliContext } from './context.ts'
import { withRuntime } from './runtime.ts'

export const ROUTES_USAGE = ['postern routes [--json] [--config FILE] [--upstream URL]']

/**
 * `postern routes`: what each route requires, read as `serve` would read it just now.
 * @throws PosternError `route_table_unavailable` when the backend's document cannot be read
 */
export async function runRoutes(args: readonly string[], context: CliContext): Promise<void> {
  const { values } = parseCommand(args, [], { ...CONFIG_OPTIONS, json: { type: 'boolean' } })
  await withRuntime(values, context, async ({ router }) => {
    const { lastError } = router.state
    if (lastError !== undefined) context.err(`warning: ${lastError}`)
    const rows = printRows(router.table.rows)
    context.out(values.json === true ? JSON.stringify(rows, undefined, 2) : formatRows(rows).trimEnd())
  })
}
