/** What came about, over a whole run: a model that never sees a thing proves nothing about it. */
export const seen = {
  passed: 0,
  refused: 0,
  'could not check': 0,
  /** Live at RomM, and tied to what its user was. */
  'cut off': 0,
  /** A change decided it: without it another answer would have been right. */
  'decided by a change here': 0,
  'decided by a change elsewhere': 0,
  'answers of another replica': 0,
  'stale answers': 0,
  gaps: 0,
  'changes unacknowledged': 0,
}
