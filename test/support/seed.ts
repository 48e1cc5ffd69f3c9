/**
 * Loaded before each test file of the suite: its properties are tried on the same cases in every run, so that a run
 * that fails does so for what changed. `POSTERN_TEST_SEED=random` (or a number) looks elsewhere, and so does a test
 * file that is run by itself.
 */
import * as fc from 'fast-check'

const named = process.env['POSTERN_TEST_SEED'] ?? '20261122'
if (named !== 'random') fc.configureGlobal({ seed: Number(named) })
