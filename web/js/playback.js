/** Which frame is shown when, and how curves become heights and lines. */

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

/** Return the unbroken parts of a curve whose unknown values are null: `{first, values}` each, `first` an index. */
export function segments(values) {
  const found = []
  let open = null
  values.forEach((value, number) => {
    if (!Number.isFinite(value)) open = null
    else if (open) open.values.push(value)
    else found.push((open = { first: number, values: [value] }))
  })
  return found
}

/** Return where flags are set: the first index of each run and the one behind its last. */
export function runs(flags) {
  const found = []
  flags.forEach((flag, number) => {
    if (!flag) return
    if (number && flags[number - 1]) found.at(-1)[1] = number + 1
    else found.push([number, number + 1])
  })
  return found
}

/** Return the x of a moment where `frames` at `fps` fill the width; never beyond it. */
export function secondsToX(seconds, { frames, fps }, width) {
  return frames > 0 ? Math.min(1, Math.max(0, (seconds * fps) / frames)) * width : 0
}

/** Write a score and what is known of the sound's place: "ADFD 0.812 · late by 2" (frames); `words` are the texts. */
export function scoreTitle({ adfd, offset }, words) {
  const place = offset ? `${offset > 0 ? words.lateBy : words.earlyBy} ${Math.abs(offset)}` : words.inTime
  return `ADFD ${adfd.toFixed(3)} · ${place}`
}

/**
 * Return what a node showed last under a key, and the pictures of that alone. A node that runs for a list shows one thing
 * after the other, and the pictures of all of them.
 */
export function lastShown(output, key) {
  const shown = output?.[key] ?? []
  const last = shown.at(-1)
  const images = output?.images ?? []
  return { last, images: shown.length > 1 && last.pictures ? images.slice(-last.pictures) : images }
}
