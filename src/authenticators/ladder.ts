import { asPosternError } from '../errors.ts'
import type { Credential, CredentialKind } from '../identity/credential.ts'
import { attempt } from '../pipeline/maybe.ts'
import { rejected } from '../pipeline/outcome.ts'
import type { Authenticator } from '../pipeline/outcome.ts'

/**
 * Tries `first`; when it could not check, `next`: the step below on the ladder, in the end the backend itself.
 * A refusal is an answer and ends it.
 */
export function fallback(first: Authenticator, next: Authenticator): Authenticator {
  return {
    authenticate: (credential, client) =>
      attempt(
        () => first.authenticate(credential, client),
        (error) => {
          if (asPosternError(error).code !== 'could_not_check') throw error
          return next.authenticate(credential, client)
        },
      ),
  }
}

/** `authenticator`, for credentials that are not held for revoked: it might not know. */
export function unlessRevoked(
  authenticator: Authenticator,
  isRevoked: (credential: Credential) => Promise<boolean>,
): Authenticator {
  return {
    authenticate: async (credential, client) =>
      (await isRevoked(credential)) ? rejected('revoked') : authenticator.authenticate(credential, client),
  }
}

/** Each kind of credential goes to its own authenticator. */
export function byKind(
  authenticators: Readonly<Record<Exclude<CredentialKind, 'malformed'>, Authenticator>>,
): Authenticator {
  return {
    authenticate: (credential, client) =>
      credential.kind === 'malformed'
        ? rejected('malformed')
        : authenticators[credential.kind].authenticate(credential, client),
  }
}

/** An authenticator of one kind, as one that refuses every other. */
export function only<K extends CredentialKind>(
  kind: K,
  authenticator: Authenticator<Extract<Credential, { kind: K }>>,
): Authenticator {
  const isMine = (credential: Credential): credential is Extract<Credential, { kind: K }> =>
    credential.kind === kind
  return {
    authenticate: (credential, client) =>
      isMine(credential) ? authenticator.authenticate(credential, client) : rejected('malformed'),
  }
}
