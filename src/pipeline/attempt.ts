import type { Credential } from '../identity/credential.ts'
import type { ClientInfo, GatewayRequest } from '../request/request.ts'
import type { MaybePromise, Rejection } from './outcome.ts'

/** A permitted request whose answer says whether a secret was guessed right. */
export interface Attempt {
  /** @param status of the answer, `'lost'` where none came */
  ended(status: number | 'lost'): Promise<void>
}

/** Bounds how often credentials may fail. */
export interface AttemptLimit {
  /**
   * Told of a credential that was checked and found bad.
   * @returns seconds until another one may be, where too many were
   */
  failed(credential: Credential, rejection: Rejection, client: ClientInfo): MaybePromise<number | undefined>
  /**
   * Before a request is permitted whose secret the backend alone can judge.
   * @returns undefined for any other request
   * @throws PosternError `too_many_attempts`
   */
  begin(request: GatewayRequest, credential: Credential | undefined): MaybePromise<Attempt | undefined>
}
