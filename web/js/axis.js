/**
 * Geometry of the timeline: seconds and pixels, ticks, and where marks lie.
 *
 * An axis is `{width, inset, lengthS}`: pixels, pixels left free at either end, seconds.
 */

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600]
const TICK_GAP = 44
const MARK_GAP = 3
const MARK_SHARE = 0.7
export const MARK_LEAST = 12
export const MARK_MOST = 150

/** Return the x of a time; times outside the axis lie at its ends. */
export function timeToX(seconds, { width, inset, lengthS }) {
  const share = lengthS > 0 ? Math.min(1, Math.max(0, seconds / lengthS)) : 0
  return inset + share * Math.max(0, width - 2 * inset)
}

/** Return the time at an x, within the axis. */
export function xToTime(x, { width, inset, lengthS }) {
  const span = Math.max(1, width - 2 * inset)
  return Math.min(1, Math.max(0, (x - inset) / span)) * lengthS
}

/** Return the ticks of an axis: round seconds, as many as have room for their labels. */
export function ticks(axis) {
  const room = Math.max(1, (axis.width - 2 * axis.inset) / TICK_GAP)
  const step = STEPS_S.find((each) => axis.lengthS / each <= room) ?? STEPS_S.at(-1)
  const count = Math.floor(axis.lengthS / step + 1e-6)
  return Array.from({ length: count + 1 }, (_, number) => {
    const seconds = number * step
    return { seconds, x: timeToX(seconds, axis), label: step < 1 ? seconds.toFixed(1) : `${Math.round(seconds)}` }
  })
}

/**
 * Lay out edits (sorted by time): each mark begins at its time and ends well before the next, so that none hides
 * another and there is a free place to click between them; `endX` is where its prompt ends, `late` says that it begins
 * when the video is over.
 */
export function layOut(edits, axis, measure = () => MARK_MOST) {
  const right = axis.width - axis.inset
  const starts = edits.map((edit) => timeToX(edit.startS, axis))
  return edits.map((edit, number) => {
    const endX = starts[number + 1] ?? right
    const late = edit.startS >= axis.lengthS
    const wanted = Math.min(MARK_MOST, Math.max(MARK_LEAST, measure(edit.label ?? edit.prompt)))
    const span = endX - starts[number]
    const room = Math.max(MARK_LEAST, Math.min(MARK_SHARE * span, span - MARK_GAP))
    const x = Math.min(starts[number], axis.width - MARK_LEAST)
    return { ...edit, x, width: Math.min(wanted, room), endX, late }
  })
}

/** Return the mark under an x, or null. Where marks touch, the later one wins: its handle is what can be seen. */
export function markAt(marks, x, slack = 3) {
  const inside = (mark, extra) => x >= mark.x - extra && x <= mark.x + mark.width + extra
  return marks.findLast((mark) => inside(mark, 0)) ?? marks.findLast((mark) => inside(mark, slack)) ?? null
}
