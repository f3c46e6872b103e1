"""Shadow depth, maps of correspondence, and the camera."""

from .common import NECKLINE, NOISE, POSE, VERSION
from .parts import CARD_ALPHA
from .skin import FUR_COMMON

DEPTH_VERTEX = (
    VERSION
    + """
in vec3 pos; in vec4 wts;
"""
    + POSE
    + "void main(){gl_Position=viewproj*blend(wts)*vec4(pos,1);}"
)
DEPTH_FRAGMENT = VERSION + "void main(){}"

CARD_DEPTH_VERTEX = (
    VERSION
    + """
in vec3 pos; in vec4 wts, card; out vec4 K;
"""
    + POSE
    + "void main(){K=card;gl_Position=viewproj*blend(wts)*vec4(pos,1);}"
)
CARD_DEPTH_FRAGMENT = (
    VERSION + "in vec4 K;\n" + NOISE + CARD_ALPHA + "void main(){if(cardalpha(K,strand(K))<.5)discard;}"
)

MAP_VERTEX = (
    VERSION
    + """
in vec3 pos,nrm,rpos,rnrm; in vec4 wts; out vec4 Q; out float W;
uniform mat4 rbones[5]; uniform mat4 rviewproj; uniform mat4 local, rlocal; uniform float offset;
"""
    + POSE
    + """
mat4 rblend(vec4 w){return rbones[0]*(1.-w.x-w.y-w.z-w.w)+rbones[1]*w.x+rbones[2]*w.y+rbones[3]*w.z+rbones[4]*w.w;}
void place(vec3 p,vec3 r){
 gl_Position=viewproj*blend(wts)*local*vec4(p,1);W=gl_Position.w;Q=rviewproj*rblend(wts)*rlocal*vec4(r,1);}
"""
)
"""Where a point is and where it was in the reference frame; Q is in the reference's clip space."""

MAP_OUT = """
in vec4 Q; in float W; layout(location=0) out vec4 home; layout(location=1) out float depth;
uniform sampler2D rdepth; uniform float segment; uniform int first;
void record(float id){
 vec2 q=Q.xy/Q.w*.5+.5;float seen=1.;
 if(first==0){
  float d=0.;vec2 px=1./vec2(textureSize(rdepth,0));
  for(int i=0;i<5;i++){vec2 o=i==0?vec2(0):vec2(i==1?1:i==2?-1:0,i==3?1:i==4?-1:0);
  d=max(d,textureLod(rdepth,q+o*px*.7,0.).r);}
  seen=step(Q.w,d+.05)*step(0.,q.x)*step(q.x,1.)*step(0.,q.y)*step(q.y,1.);}
 home=vec4(q,seen,id);depth=W;}
"""

SURFACE_MAP_VERTEX = (
    MAP_VERTEX
    + """
in vec3 ref; in vec2 inside; out vec3 R; out float I;
void main(){R=ref;I=inside.x;place(pos+nrm*offset,rpos+rnrm*offset);}
"""
)
SURFACE_MAP_FRAGMENT = (
    VERSION
    + "in vec3 R; in float I; uniform int cut;\n"
    + MAP_OUT
    + NECKLINE
    + """
void main(){
 if(cut==1&&R.y<6.05&&edge(R)>.13)discard;
 if(cut==2&&(edge(R)<0.||R.y>6.08))discard;
 record(cut==1&&I>.5?4.:segment);}
"""
)
"""`cut` 1 is the skin above the neckline, 2 the cloth below it, 0 anything else; the mouth's lining is segment 4."""

FUR_MAP_VERTEX = (
    MAP_VERTEX
    + """
in vec3 ref, comb; in vec2 fur, uv; out vec3 R,C; out vec2 G,T; uniform float layer, thickness;
void main(){
 R=ref;C=comb;G=fur;T=uv;float s=fur.x*thickness;vec3 lean=comb*layer*layer*.6;
 place(pos+(nrm*layer+lean)*s,rpos+(rnrm*layer+lean)*s);}
"""
)
FUR_MAP_FRAGMENT = (
    VERSION
    + "in vec3 R,C; in vec2 G,T;\n"
    + MAP_OUT
    + FUR_COMMON
    + "void main(){float v;if(furalpha(R,C,T,G.y,v)<.4)discard;record(segment);}"
)

CARD_MAP_VERTEX = MAP_VERTEX + "in vec4 card; out vec4 K;void main(){K=card;place(pos,rpos);}"
CARD_MAP_FRAGMENT = (
    VERSION
    + "in vec4 K;\n"
    + NOISE
    + CARD_ALPHA
    + MAP_OUT
    + "void main(){if(cardalpha(K,strand(K))<.4)discard;record(segment);}"
)

POST_VERTEX = VERSION + "in vec2 pos;out vec2 T;void main(){T=pos*.5+.5;gl_Position=vec4(pos,0,1);}"

POST_FRAGMENT = (
    VERSION
    + """
in vec2 T; out vec4 o; uniform sampler2D frame, back;
uniform vec3 gain; uniform float exposure, backexposure, contrast, saturation, grain, vignette, seed, soft;
   uniform vec2 px;
"""
    + NOISE
    + """
vec3 curve(vec3 c){return clamp((c*(2.51*c+.03))/(c*(2.43*c+.59)+.14),0.,1.);}
vec3 at(vec2 t){vec4 f=texture(frame,t);return texture(back,t).rgb*backexposure*(1.-f.a)+f.rgb*exposure;}
void main(){
 vec3 c=at(T);
 if(soft>.02)c=c*(1.-soft)+.25*soft*(at(T+px*vec2(.8,.35))+at(T+px*vec2(-.35,.8))+at(T+px*vec2(-.8,
  -.35))+at(T+px*vec2(.35,-.8)));
 c*=1.-vignette*dot(T-.5,T-.5)*1.6;
 c=curve(c*gain);c=pow(c,vec3(1./2.2));c=mix(vec3(.5),c,contrast);
 float l=dot(c,vec3(.3,.59,.11));c=mix(vec3(l),c,saturation);
 if(grain>0.){
  vec2 p=gl_FragCoord.xy+seed*vec2(17.3,9.1);
  vec3 g=vec3(hash2(p),hash2(p+71.),hash2(p+37.))-.5;float gl=hash2(p+113.)-.5;
  c+=grain*(g*.7+gl)*(1.3-.9*l);}
 o=vec4(c,1);}
"""
)
"""Composes with the background, softens, grades and adds grain; the frame's colour is already weighted by coverage."""
