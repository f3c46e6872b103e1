/**
 * What a player shows below its film: curves over time. Each kind says how to prepare what a run gave, what its legend
 * names, and how to draw a moment.
 */
import { colour } from './drawing.js'
import { jawHeights, loudnessHeights, runs, secondsToX, segments } from './playback.js'

const SPLIT = 0.55
const INSET = 4

/** Loudness as bars, the jaw as a line below: of Speech to Motion. */
export const motionStrip = {
  legend: ['loudness', 'jaw'],
  prepare: ({ jaw = [], loudness = [] }) => ({
    jawHeights: jawHeights(jaw),
    loudnessHeights: loudnessHeights(loudness),
  }),
  draw(context, width, height, motion, frame, element) {
    const split = Math.round(height * SPLIT)
    drawLoudness(context, width, split, motion, frame, element)
    drawJaw(context, width, split + 3, height - 2, motion, element)
  },
}

/** Voice as a hill, the mouth as a line over it, silences shaded: of ADFD Score. */
export const scoreStrip = {
  legend: ['voice', 'mouth'],
  prepare: ({ mouth = [], voice = [], silent = [] }) => ({
    mouthLines: segments(mouth),
    voiceLines: segments(voice),
    silences: runs(silent),
  }),
  draw(context, width, height, score, _frame, element) {
    const x = (index) => secondsToX(index / score.hz, score, width)
    const y = (value) => height - INSET - value * (height - 2 * INSET)
    context.fillStyle = 'rgb(127 127 127 / 22%)'
    for (const [first, last] of score.silences) context.fillRect(x(first), 0, x(last) - x(first), height)
    const voice = colour(element, '--pt-loudness', '#5aa9e6')
    for (const line of score.voiceLines) {
      trace(context, line, x, y)
      stroke(context, voice, 1)
      context.lineTo(x(line.first + line.values.length - 1), height)
      context.lineTo(x(line.first), height)
      fill(context, voice, 0.3)
    }
    for (const line of score.mouthLines) {
      trace(context, line, x, y)
      stroke(context, colour(element, '--pt-jaw', '#f0a35e'), 1.75)
    }
  },
}

function trace(context, { first, values }, x, y) {
  context.beginPath()
  values.forEach((value, number) => context.lineTo(x(first + number), y(value)))
}

function stroke(context, style, width) {
  context.strokeStyle = style
  context.lineWidth = width
  context.lineJoin = 'round'
  context.stroke()
}

function fill(context, style, alpha) {
  context.globalAlpha = alpha
  context.fillStyle = style
  context.fill()
  context.globalAlpha = 1
}

function drawLoudness(context, width, bottom, { loudnessHeights: heights }, frame, element) {
  const step = width / Math.max(1, heights.length)
  const middle = bottom / 2
  context.fillStyle = colour(element, '--pt-loudness', '#5aa9e6')
  heights.forEach((share, number) => {
    const half = Math.max(0.5, share * (middle - 2))
    context.globalAlpha = number <= frame ? 1 : 0.45
    context.fillRect(number * step, middle - half, Math.max(0.5, step - (step > 3 ? 1 : 0)), 2 * half)
  })
  context.globalAlpha = 1
}

function drawJaw(context, width, top, bottom, { jawHeights: heights }, element) {
  if (!heights.length) return
  context.beginPath()
  heights.forEach((share, number) => {
    context.lineTo(((number + 0.5) / heights.length) * width, bottom - share * (bottom - top - 2))
  })
  stroke(context, colour(element, '--pt-jaw', '#f0a35e'), 1.5)
  context.lineTo(width, bottom)
  context.lineTo(0, bottom)
  fill(context, context.strokeStyle, 0.15)
}
