import type { Config } from '../config/schema.ts'
import { PosternError } from '../errors.ts'
import { readRules } from '../routes/rules.ts'
import type { RouteLayer } from '../routes/table.ts'

/** The operator's own rules. @throws PosternError `config_invalid` */
export function operatorLayer(config: Config): RouteLayer {
  const reading = readRules(config.rules)
  if (reading.ok) return reading.layer
  throw new PosternError(
    'config_invalid',
    reading.problems.map(({ path, message }) => `${path}: ${message}`).join('\n'),
  )
}
