import { PosternError } from '../../src/errors.ts'
import type { Credential } from '../../src/identity/credential.ts'
import type { Authenticator } from '../../src/pipeline/outcome.ts'
import { passing, REFUSED } from './judge.ts'
import { CLIENT } from './permits.ts'

/** @returns undefined when it could not be checked */
export async function answerOf(
  authenticator: Authenticator,
  credential: Credential,
): Promise<string | undefined> {
  try {
    const outcome = await authenticator.authenticate(credential, CLIENT)
    return outcome.kind === 'authenticated' ? passing(outcome.principal) : REFUSED
  } catch (error) {
    if (error instanceof PosternError && error.code === 'could_not_check') return undefined
    throw error
  }
}

/** For whoever reads a counter-example. */
export function textOf(credential: Credential): string {
  const { kind, ...rest } = credential
  return [kind, ...Object.values(rest)].join(' ')
}
