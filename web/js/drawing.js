/** Small helpers of both widgets: elements, sharp canvases, theme colours. */

const SHARPNESS = 2

/** Make an element with a class and attributes. */
export function make(tag, className, attributes = {}) {
  const element = document.createElement(tag)
  element.className = className
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

/**
 * Size a canvas's bitmap by its box and return its context in CSS pixels. The bitmap is finer than the screen, since
 * the frontend enlarges widgets when one zooms in, without saying so.
 */
export function fitCanvas(canvas) {
  const width = canvas.clientWidth
  const height = canvas.clientHeight
  const scale = SHARPNESS * (globalThis.devicePixelRatio || 1)
  const [across, down] = [Math.round(width * scale), Math.round(height * scale)]
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across
    canvas.height = down
  }
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  return { context, width, height }
}

/** Return a theme colour of the frontend, or a fallback where the theme lacks it. */
export function colour(element, variable, fallback) {
  return getComputedStyle(element).getPropertyValue(variable).trim() || fallback
}

/** Return the x of a pointer in an element's own pixels, however far the graph is zoomed. */
export function localX(event, element) {
  const box = element.getBoundingClientRect()
  return box.width ? ((event.clientX - box.left) * element.clientWidth) / box.width : 0
}

let ruler = null

/** Return how wide a text is in an element's font. */
export function textWidth(words, element) {
  ruler ??= document.createElement('canvas').getContext('2d')
  ruler.font = `12px ${getComputedStyle(element).fontFamily || 'sans-serif'}`
  return ruler.measureText(words).width
}
