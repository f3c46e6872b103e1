"""Noise, posing, light and coverage, shared by the shaders."""

VERSION = "#version 400\nfloat sq(float x){return x*x;}\n"

NOISE = """
float hash(vec3 p){p=fract(p*vec3(.1031,.1030,.0973));p+=dot(p,p.yzx+33.33);return fract((p.x+p.y)*p.z);}
float noise(vec3 p){
 vec3 i=floor(p),f=fract(p);f=f*f*(3.-2.*f);
 return mix(mix(mix(hash(i),hash(i+vec3(1,0,0)),f.x),mix(hash(i+vec3(0,1,0)),hash(i+vec3(1,1,0)),f.x),f.y),
            mix(mix(hash(i+vec3(0,0,1)),hash(i+vec3(1,0,1)),f.x),mix(hash(i+vec3(0,1,1)),hash(i+vec3(1,1,1)),f.x),
  f.y),f.z);}
float hash2(vec2 p){vec3 q=fract(vec3(p.xyx)*.1031);q+=dot(q,q.yzx+33.33);return fract((q.x+q.y)*q.z);}
float noise2(vec2 p){
 vec2 i=floor(p),f=fract(p);f=f*f*(3.-2.*f);
 return mix(mix(hash2(i),hash2(i+vec2(1,0)),f.x),mix(hash2(i+vec2(0,1)),hash2(i+vec2(1,1)),f.x),f.y);}
float fbm(vec3 p){return .5*noise(p)+.25*noise(p*2.03+7.)+.125*noise(p*4.1+3.)+.0625*noise(p*8.3);}
float spots(vec3 p,float density,float size){
 vec3 i=floor(p);float best=0.;
 for(int z=-1;z<2;z++)for(int y=-1;y<2;y++)for(int x=-1;x<2;x++){
  vec3 c=i+vec3(x,y,z);float h=hash(c+.5);
  if(h<density){vec3 o=vec3(hash(c+1.7),hash(c+5.1),hash(c+9.3));float s=size*(.4+.6*h/density);
   best=max(best,1.-smoothstep(.4*s,s,length(p-c-o)));}}
 return best;}
"""
"""Value noise, its sum of octaves, and scattered round spots."""

POSE = """
uniform mat4 bones[5]; uniform mat4 viewproj, shadowproj;
mat4 blend(vec4 w){return bones[0]*(1.-w.x-w.y-w.z-w.w)+bones[1]*w.x+bones[2]*w.y+bones[3]*w.z+bones[4]*w.w;}
"""
"""Linear blend of the bones; the bust takes what the other four leave."""

LIGHT = """
const int LOBES=5;
uniform vec3 keydir, keycol, ambup, ambdown, eye; uniform vec4 lobedir[LOBES]; uniform vec3 lobecol[LOBES];
uniform sampler2D shadowmap; uniform float shadowsoft;
vec3 environment(vec3 d,float blur){
 vec3 c=mix(ambdown,ambup,smoothstep(-.7,.7,d.y));
 for(int i=0;i<LOBES;i++){float s=lobedir[i].w/(1.+blur*lobedir[i].w);
  c+=lobecol[i]*exp(s*(dot(d,lobedir[i].xyz)-1.))*(s/lobedir[i].w);}
 return c;}
float shadow(vec4 sp,float bias){
 vec3 q=sp.xyz*.5+.5;float lit=0.;
 for(int i=0;i<5;i++){float a=float(i)*2.513;vec2 o=(i==0)?vec2(0):vec2(cos(a),sin(a))*shadowsoft;
  lit+=smoothstep(0.,bias,textureLod(shadowmap,q.xy+o,0.).r+2.*bias-q.z);}
 return lit/5.;}
float shadow1(vec4 sp,float bias){
 vec3 q=sp.xyz*.5+.5;return smoothstep(0.,bias,textureLod(shadowmap,q.xy,0.).r+2.*bias-q.z);}
"""
"""A key light with a shadow map, a hemisphere and lobes; the integral of a lobe stays when it is blurred."""

BUMP = """
vec3 bumped(vec3 p,vec3 n,float h,float strength){
 vec3 dx=dFdx(p),dy=dFdy(p);vec3 a=cross(dy,n),b=cross(n,dx);float det=dot(dx,a);
 vec3 g=(dFdx(h)*a+dFdy(h)*b)*sign(det);return normalize(abs(det)*n-strength*g);}
"""
"""Bump mapping without tangents (Mikkelsen, 2010)."""

NECKLINE = """
uniform float neckline, vneck;
float edge(vec3 R){
 vec3 d=(R-vec3(0,6.12,.02))*vec3(1,1,.95);
 return length(d)-neckline-vneck*max(0.,.42-abs(R.x))*smoothstep(0.,.4,R.z);}
"""
"""Distance below the edge of the clothes: above zero there is cloth; a V goes deeper in front."""

GROWTH = """
uniform vec2 hairline; // height of the hairline; how far the temples recede
const vec3 SKULL=vec3(0,7.50,.30);
float scalp(vec3 R){
 vec3 d=normalize(R-SKULL);float az=atan(abs(d.x),d.z),el=asin(d.y);
 float front=hairline.x-.10*smoothstep(0.,.55,az)+hairline.y*exp(-sq((az-.50)/.20));
 float back=-.10-.65*smoothstep(1.35,2.3,az);
 return el-mix(front,back,smoothstep(.72,1.18,az));}
float blob(vec3 R,vec3 c,vec3 s){vec3 d=(vec3(abs(R.x),R.yz)-c)/s;return exp(-dot(d,d));}
float moustache(vec3 R){
 float x=abs(R.x);
 return smoothstep(.40,.30,x)*smoothstep(6.655-.10*smoothstep(.10,.4,x),6.69-.10*smoothstep(.10,.4,x),R.y)
  *smoothstep(6.88-.10*smoothstep(.05,.36,x),6.80-.10*smoothstep(.05,.36,x),R.y)*smoothstep(1.1,1.3,R.z);}
float beardarea(vec3 R,float lip,float n){
 float x=abs(R.x),top=6.90+.30*smoothstep(.42,.85,x)+.35*smoothstep(.75,.95,x)-.18*smoothstep(.40,.25,x)+.10*(n-.5);
 float b=smoothstep(top+.03,top-.20,R.y)*smoothstep(6.08,6.30,R.y-.06*(n-.5))*smoothstep(.25,.55,
  R.z+.25*smoothstep(6.6,7.,R.y));
 float soul=blob(R,vec3(.13,6.47,1.5),vec3(.055,.06,.3));
 float mouth=blob(R,vec3(0.,6.60,1.5),vec3(.32,.12,.4));
 return max(b*(1.-.55*soul)*(1.-smoothstep(.35,.75,mouth)),moustache(R))*(1.-smoothstep(.05,.5,lip));}
float goatee(vec3 R){return smoothstep(.34,.22,abs(R.x));}
float browshape(vec3 R,float up,float thick,float n){
 float x=abs(R.x),t=clamp((x-.105)/.50,0.,1.);
 float y=7.462+up+.055*sin(t*2.6)-.062*t*t;
 float w=mix(.036,.012,smoothstep(.30,1.,t))*thick;
 float d=abs(R.y-y)/w;
 return (1.-smoothstep(.35,1.20,d+.6*(n-.5)))*smoothstep(.075,.175,x)*(1.-smoothstep(.50,.62,x))*smoothstep(.85,1.05,
  R.z);}
"""
"""Where hair grows: one definition for the paint below it and for the hair itself, in the template's space."""
