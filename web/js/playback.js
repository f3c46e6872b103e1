/** Which frame is shown when, and how loudness and jaw become heights. */

const QUIETEST_DB = -60
const LEAST_JAW = 0.2

/** Return the frame that is shown `seconds` after the first, over and over. */
export function frameAt(seconds, fps, frames) {
  if (frames < 1) return 0
  const frame = Math.floor(seconds * fps + 1e-6) % frames
  return frame < 0 ? frame + frames : frame
}

/** Return which of `pictures` evenly taken pictures shows a frame. */
export function pictureOf(frame, frames, pictures) {
  if (pictures < 1 || frames < 1) return -1
  return Math.min(pictures - 1, Math.floor((frame * pictures) / frames))
}

/** Return which pictures to load where there are more than `most`: evenly spread, the first among them. */
export function thinned(pictures, most) {
  if (pictures.length <= most) return pictures
  return Array.from({ length: most }, (_, number) => pictures[Math.floor((number * pictures.length) / most)])
}

/** Return loudness as heights in [0, 1]. Values below 0 are decibels relative to full scale, others are levels. */
export function loudnessHeights(loudness) {
  const decibels = loudness.some((value) => value < 0)
  const most = Math.max(1e-6, ...loudness)
  return loudness.map((value) => {
    const share = decibels ? 1 - value / QUIETEST_DB : value / Math.max(1, most)
    return Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0
  })
}

/** Return the jaw's opening as heights in [0, 1], the widest at 1; a jaw that hardly moves stays low. */
export function jawHeights(jaw) {
  const most = Math.max(LEAST_JAW, ...jaw)
  return jaw.map((value) => (Number.isFinite(value) ? Math.min(1, Math.max(0, value / most)) : 0))
}

/** Write a moment as "1.24 / 3.88 s". */
export function clock(frame, frames, fps) {
  return `${(frame / fps).toFixed(2)} / ${(frames / fps).toFixed(2)} s`
}
