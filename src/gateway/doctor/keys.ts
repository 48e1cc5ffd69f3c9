import { looseIn, readKeys } from '../../assertion/folder.ts'
import type { Config } from '../../config/schema.ts'
import { PosternError } from '../../errors.ts'
import { error, fixIn, ok } from '../../profiles/finding.ts'
import type { Observation } from '../../profiles/finding.ts'

/** Whether the keys that sign assertions can be used, and by us alone. */
export async function keys({ assertion, keys: { folder }, redis, replicas }: Config): Promise<Observation[]> {
  if (!assertion.enabled) return [ok('assertions are off, no key is needed')]
  const loose = await looseIn(folder)
  if (loose.length > 0) {
    const lines = loose.map(({ path, mode }) => `chmod ${mode.toString(8)} ${path}`)
    return [error('others on this machine may use what signs assertions', fixIn('shell', ...lines))]
  }
  try {
    const found = await readKeys(folder)
    const isShared = redis !== undefined || replicas > 1
    if (found.length > 0) return [ok(`${folder}: ${found.length} of ours alone`)]
    return isShared
      ? [error(`${folder} has no key, and replicas make none`, fixIn('shell', 'postern keys generate'))]
      : [ok(`${folder} has no key yet: the first start makes one`)]
  } catch (cause) {
    if (cause instanceof PosternError) return [error(cause.message)]
    throw cause
  }
}
