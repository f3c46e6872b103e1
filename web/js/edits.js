/**
 * The text of timed edits: one a line, `seconds: prompt`.
 *
 * The text is the truth. Every change takes a text and returns a text, in which the lines that are no edits
 * (empty ones, half-typed ones) stand where and as they were.
 */

const EDIT = /^\s*\+?(\d+\.?\d*|\.\d+)\s*[:：]\s*(\S.*?)\s*$/

/**
 * Split a text into lines. `startS` is null where a line is no edit.
 * @param {string} text
 * @returns {{raw: string, startS: number | null, prompt: string}[]}
 */
export function parseLines(text) {
  if (!text) return []
  return text.split(/\r?\n/).map((raw) => {
    const found = EDIT.exec(raw)
    return { raw, startS: found ? Number(found[1]) : null, prompt: found ? found[2] : '' }
  })
}

/**
 * Return the edits of a text by time; `line` is the number of the line that holds an edit, from 0.
 * @param {string} text
 * @returns {{line: number, startS: number, prompt: string}[]}
 */
export function parseEdits(text) {
  return parseLines(text)
    .map(({ startS, prompt }, line) => ({ line, startS, prompt }))
    .filter((edit) => edit.startS !== null)
    .sort((one, other) => one.startS - other.startS || one.line - other.line)
}

/** Write seconds with at least one and at most three decimals: 2 is "2.0". */
export function formatSeconds(seconds) {
  return seconds.toFixed(3).replace(/(\.\d)0+$/, '$1').replace(/(\.\d[1-9])0$/, '$1')
}

/** Write an edit as its line. */
export function formatEdit(startS, prompt) {
  return `${formatSeconds(startS)}: ${prompt.replace(/\s+/g, ' ').trim()}`
}

/** Return what a prompt says after the words that it begins with as `first` does; all of it where nothing is left. */
export function shortened(prompt, first) {
  const [words, known] = [prompt, first].map((each) => each.trim().split(/\s+/))
  const same = words.findIndex((word, number) => word !== known[number])
  return same > 0 ? words.slice(same).join(' ') : prompt
}

/** Add an edit before the first later one, or below the last line that is not empty. */
export function addEdit(text, startS, prompt) {
  const lines = parseLines(text)
  let place = lines.findIndex((line) => line.startS !== null && line.startS > startS)
  if (place < 0) {
    place = lines.length
    while (place > 0 && !lines[place - 1].raw.trim()) place -= 1
  }
  const raw = lines.map((line) => line.raw)
  raw.splice(place, 0, formatEdit(startS, prompt))
  return raw.join('\n')
}

/**
 * Give the edit in a line another time, another prompt, or both. Where the edits stand in the order of their times they
 * go on doing so; lines that are no edits stay where they are.
 */
export function changeEdit(text, line, { startS, prompt }) {
  const lines = parseLines(text)
  const edit = lines[line]
  if (!edit || edit.startS === null) return text
  const places = lines.flatMap((each, number) => (each.startS === null ? [] : [number]))
  const ordered = places.every((number, order) => !order || lines[places[order - 1]].startS <= lines[number].startS)
  edit.startS = startS ?? edit.startS
  edit.raw = formatEdit(edit.startS, prompt ?? edit.prompt)
  const edits = places.map((number) => lines[number])
  if (ordered) edits.sort((one, other) => one.startS - other.startS)
  const raw = lines.map((each) => each.raw)
  places.forEach((number, order) => (raw[number] = edits[order].raw))
  return raw.join('\n')
}

/** Return the line of the edit at a time, -1 where there is none: times are unique. */
export function lineAt(text, startS) {
  return parseEdits(text).find((edit) => Math.abs(edit.startS - Number(formatSeconds(startS))) < 1e-6)?.line ?? -1
}

/** Take the edit in a line out; a line that is no edit stays. */
export function removeEdit(text, line) {
  const lines = parseLines(text)
  if (!lines[line] || lines[line].startS === null) return text
  return lines.filter((_, number) => number !== line).map((each) => each.raw).join('\n')
}

/**
 * Return the time nearest to `startS` that lies on a frame and that no other edit has: the nodes allow one prompt a
 * time. `line` is the edit that is being placed (-1: a new one).
 */
export function freeTime(text, line, startS, fps, lengthS) {
  const last = Math.max(0, Math.ceil(lengthS * fps - 1e-6) - 1)
  const taken = new Set(
    parseEdits(text).filter((edit) => edit.line !== line).map((edit) => Math.round(edit.startS * fps)),
  )
  const wanted = Math.min(last, Math.max(0, Math.round(startS * fps)))
  for (let step = 0; step <= last; step += 1) {
    for (const frame of [wanted + step, wanted - step]) {
      if (frame >= 0 && frame <= last && !taken.has(frame)) return frame / fps
    }
  }
  return wanted / fps
}

/**
 * Return what would stop a run: the first line that is neither empty nor an edit (`raw`), or the first time that two
 * edits share (`startS`); null where all is well.
 */
export function trouble(text) {
  const bad = parseLines(text).find((line) => line.startS === null && line.raw.trim())
  if (bad) return { raw: bad.raw.trim() }
  const edits = parseEdits(text)
  const twice = edits.find((edit, number) => number > 0 && edits[number - 1].startS === edit.startS)
  return twice ? { startS: twice.startS } : null
}
