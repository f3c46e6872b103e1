"""Eyes, teeth and tongue, lashes, hair cards, clothes and solid things."""

from .common import BUMP, LIGHT, NECKLINE, NOISE, POSE, VERSION

EYE_VERTEX = (
    VERSION
    + """
in vec3 pos; uniform mat4 local, bone, viewproj, shadowproj; out vec3 P,N,E; out vec4 S;
void main(){vec4 q=bone*local*vec4(pos,1);P=q.xyz;N=normalize(mat3(bone*local)*pos);E=pos;S=shadowproj*q;
  gl_Position=viewproj*q;}
"""
)

EYE_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,E; in vec4 S; out vec4 o;
uniform mat4 local, bone; uniform vec3 iris1, iris2, amb, lidup; uniform float pupil, seed, irisr, lidtop, redness;
"""
    + LIGHT
    + NOISE
    + """
void main(){
 vec3 V=normalize(eye-P),n=normalize(N);mat3 m=mat3(bone*local);
 float r=length(E.xy)/irisr;r=mix(9.,r,step(0.,E.z));
 vec3 Vl=normalize(transpose(m)*V);
 vec2 q=E.xy/irisr;q-=Vl.xy*.16*(1.-smoothstep(.5,1.,r));     // the iris lies behind the cornea
 float ri=length(q),ang=atan(q.y,q.x);
 float fib=noise(vec3(ang*9.,ri*2.5,seed))*.6+noise(vec3(ang*26.,ri*4.,seed+5.))*.5;
 vec3 iris=mix(iris1,iris2,smoothstep(.35,.75,ri+.25*(fib-.5)))*(.60+.75*fib);
 iris*=1.-.70*smoothstep(.80,1.,ri);iris*=smoothstep(pupil-.05,pupil+.06,ri);
 float vein=smoothstep(.62,.9,noise(E*vec3(9.,26.,9.)+seed))*smoothstep(1.3,2.2,r)*redness;
 vec3 scl=vec3(.58,.545,.52)*(1.-vein*vec3(.08,.4,.4));
 scl*=mix(vec3(1),vec3(.88,.70,.65),smoothstep(1.5,2.25,abs(E.x)/irisr));
 vec3 c=mix(iris,scl,smoothstep(.90,1.12,r));
 // Lids and lashes shade the ball from above, the lower lid a little from below.
 float y=dot(normalize(P-(bone*local*vec4(0,0,0,1)).xyz),lidup);
 float ao=mix(1.,.36,smoothstep(lidtop-.34,lidtop+.02,y))*mix(.70,1.,smoothstep(-.50,-.24,y));
 float sh=shadow(S,.01);float d=clamp((dot(n,keydir)+.25)/1.25,0.,1.);
 vec3 col=c*(keycol*d*sh*ao+amb*ao);
 vec3 nc=normalize(m*vec3(E.xy*mix(1.7,1.,smoothstep(.8,1.15,r)),max(E.z,.05)));
 vec3 H=normalize(V+keydir);float F=.03+.5*pow(1.-clamp(dot(nc,V),0.,1.),5.);
 col+=keycol*smoothstep(.9925,.9975,dot(nc,H))*1.2*max(sh,.4)*mix(1.,ao,.3);
 vec3 rf=reflect(-V,nc);col+=environment(rf,.02)*F*1.6*mix(1.,ao,.4);
 for(int i=0;i<2;i++)col+=lobecol[i]*smoothstep(.93,.985,dot(rf,lobedir[i].xyz))*.35*mix(1.,ao,.3);
 o=vec4(col,1);
}"""
)

MOUTH_VERTEX = (
    VERSION
    + """
in vec3 pos,nrm,tint; uniform mat4 bone,viewproj,shadowproj; out vec3 P,N,C; out vec4 S;
void main(){vec4 q=bone*vec4(pos,1);P=q.xyz;N=mat3(bone)*nrm;C=tint;S=shadowproj*q;gl_Position=viewproj*q;}
"""
)

MOUTH_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,C; in vec4 S; out vec4 o; uniform vec3 lips, amb; uniform float open, wet; uniform mat4 bone;
"""
    + LIGHT
    + """
void main(){
 vec3 n=normalize(N),V=normalize(eye-P);if(dot(n,V)<0.)n=-n;vec3 f=normalize(mat3(bone)*vec3(0,0,1));
 float depth=dot(lips-P,f);float dark=mix(1.,.08,smoothstep(.02,.40,depth))*mix(.70,1.,smoothstep(0.,.4,open));
 float sh=shadow(S,.012);
 vec3 c=C*(keycol*clamp((dot(n,keydir)+.35)/1.35,0.,1.)*mix(.50,1.,sh)+amb)*dark*vec3(1.,.97,.93);
 vec3 H=normalize(V+keydir);c+=keycol*pow(max(dot(n,H),0.),60.)*.25*sh*dark*wet;
 c+=environment(reflect(-V,n),.1)*.05*dark*wet;
 o=vec4(c,1);}
"""
)

LASH_VERTEX = (
    VERSION
    + """
in vec3 pos, ref; in float tip; uniform mat4 bone,viewproj; out vec3 R; out float T;
void main(){R=ref;T=tip;gl_Position=viewproj*bone*vec4(pos,1);}
"""
)

LASH_FRAGMENT = (
    VERSION
    + """
in vec3 R; in float T; out vec4 o; uniform float density; uniform vec3 tint;
void main(){
 float s=R.x*110.+T*1.5*sign(R.x);float f=abs(fract(s)-.5)*2.,w=fwidth(s)*2.,h=density*(1.-T*.9);
 float a=mix(1.-smoothstep(h-w,h+w,f),h,clamp(w-.4,0.,1.));o=vec4(tint,a*(1.-.45*T));}
"""
)

CARD_VERTEX = (
    VERSION
    + """
in vec3 pos,nrm,tan; in vec4 wts; in vec4 card;    // card: across, along, random, occlusion
out vec3 A,D; out vec4 K; uniform vec3 hair1,hair2; uniform float gloss;
"""
    + POSE
    + LIGHT
    + """
void main(){
 mat4 m=blend(wts);vec4 q=m*vec4(pos,1);vec3 t=normalize(mat3(m)*tan),n=normalize(mat3(m)*nrm),V=normalize(eye-q.xyz);
 vec4 sp=shadowproj*vec4(q.xyz+n*.02,1);
 float sh=(shadow1(sp,.02)+shadow1(sp+vec4(.02,.02,0,0),.02)+shadow1(sp+vec4(-.02,.01,0,0),.02))/3.;
 float tl=dot(t,keydir),tv=dot(t,V),sl=sqrt(max(0.,1.-tl*tl)),sv=sqrt(max(0.,1.-tv*tv)),occ=card.w;
 float wrap=clamp((dot(n,keydir)+.45)/1.45,0.,1.);
 vec3 around,ln=normalize(n*.8+vec3(0,.35,0));
 D=keycol*wrap*sh*occ*(.45+.55*sl)+occ*.85*(around=environment(ln,3.));
 float shift=.16*(card.z-.5);
 float s1=pow(max(0.,sl*sv-tl*tv+shift-.03),60.),s2=pow(max(0.,sl*sv-tl*tv+shift*1.6+.02),14.);
 vec3 c=mix(hair1,hair2,.5);
 float face=smoothstep(-.1,.5,dot(n,V));
 A=keycol*sh*occ*wrap*gloss*(s1*.030+s2*c*.55)*face;
 A+=around*gloss*(.012+c*.10)*occ*face;
 K=card;gl_Position=viewproj*q;}
"""
)

CARD_ALPHA = """
uniform float seed, strandcount, curl, softtip, pixel, cardwidth;
vec2 strand(vec4 K){
 float u=K.x*.5+.5+curl*.10*sin(K.y*17.+K.z*40.),f=strandcount,w=f*pixel/cardwidth;
     // strands a pixel: fade what it cannot show
 float a=noise2(vec2(u*f+K.z*91.,K.y*2.2+K.z*13.)),b=noise2(vec2(u*f*2.7+K.z*37.,K.y*1.5+K.z*7.));
 a=mix(a,.5,smoothstep(.35,1.1,w));b=mix(b,.5,smoothstep(.35,1.1,w*2.7));
 return vec2(a*.6+b*.4,b);}
float cardalpha(vec4 K,vec2 s){
 float edge=1.-pow(abs(K.x),2.6),tip=1.-smoothstep(softtip,1.,K.y+.22*(s.y-.5));
 float root=smoothstep(-.02,.16,K.y+.10*(s.y-.5));
 float t=mix(.95,.0,edge*tip*mix(.55,1.,root));return smoothstep(t,t+.42,s.x+.10)*smoothstep(0.,.04,tip);}
"""

CARD_FRAGMENT = (
    VERSION
    + """
in vec3 A,D; in vec4 K; out vec4 o; uniform vec3 hair1,hair2; uniform float grey; uniform int core;
"""
    + NOISE
    + CARD_ALPHA
    + """
void main(){
 vec2 s=strand(K);float a=cardalpha(K,s);if(core==1?a<.6:(a<.02||a>=.6))discard;
 float v=clamp(.5+1.3*(s.x-.5)+.28*(K.z-.5),0.,1.);
 vec3 c=mix(hair1,hair2,v)*mix(.62,1.08,smoothstep(0.,.35,K.y));
 c=mix(c,vec3(.27),min(1.,grey*1.4)*smoothstep(.35,.65,fract(s.y*1.7+K.z*5.)));
 o=vec4(c*D+A*(.5+s.x),core==1?1.:a);
}"""
)

CLOTH_VERTEX = (
    VERSION
    + """
in vec3 pos,nrm,light,ref; in vec4 wts; out vec3 P,N,L,R,B; out vec4 S;
"""
    + POSE
    + """
void main(){mat4 m=blend(wts);vec4 q=m*vec4(pos,1);P=q.xyz;N=mat3(m)*nrm;L=light;R=ref;B=pos;S=shadowproj*q;
  gl_Position=viewproj*q;}
"""
)

CLOTH_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,L,R,B; in vec4 S; out vec4 o;
uniform vec3 cloth1, cloth2; uniform float seed, suit, rib; uniform int pattern;
"""
    + LIGHT
    + NOISE
    + BUMP
    + NECKLINE
    + """
void main(){
 float e=edge(R);if(e<0.||R.y>6.08)discard;
 vec3 n=normalize(N);float x=abs(R.x);
 float fold=.8*fbm(R*vec3(2.0,.9,2.0)+seed)+.30*noise(vec3((abs(R.x)+R.y*.8)*4.,R.y*2.,R.z*4.+sign(R.x)*smoothstep(0.,
  .3,abs(R.x))*2.)+seed*2.)+.02*noise(R*60.);
 float hem=smoothstep(.10,.085,e)*(1.-suit);fold+=hem*.04;
 fold-=.02*rib*hem*step(.5,fract(atan(R.x,R.z)*30.));
 vec3 c=cloth1;
 if(pattern==1)c=mix(cloth1,cloth2,smoothstep(.42,.58,abs(fract(B.y*3.6+.14*fold)-.5)*2.));
 if(pattern==2)c=mix(cloth1,cloth2,.5*smoothstep(.36,.46,abs(fract(B.y*2.6+.14*fold)-.5))+.5*smoothstep(.36,.46,
  abs(fract(B.x*2.6+.14*fold)-.5)));
 if(pattern==3)c*=.75+.5*noise(R*vec3(50.,26.,50.)+seed);
 float placket=0.;
 if(suit>.5){
  // A jacket over a shirt: the lapels part along a V.
  float v=.05+max(0.,5.95-0.-R.y)*-.0+.62*smoothstep(4.6,6.0,R.y);
  float shirt=step(x,v)*step(0.,R.z);placket=exp(-sq((x-v)/.03))*step(0.,R.z);
  float lapel=step(x,v+.30)*step(v,x)*step(0.,R.z);
  c=mix(c*mix(1.,.86,lapel),cloth2,shirt);
  if(shirt>.5){float tie=step(x,.10+.03*smoothstep(6.,5.,R.y));c=mix(c,cloth1*vec3(2.2,.6,.7)+.01,tie);}
  placket+=.7*exp(-sq((x-v-.30)/.015))*step(0.,R.z);
 }
 c*=.92+.16*noise(R*vec3(38.,60.,38.));
 n=bumped(P,n,fold,.17);
 c*=1.-.22*smoothstep(.02,0.,abs(e-.10))*(1.-suit)-.10*hem-.4*placket;
 float sh=shadow(S,.008);
 vec3 col=c*(keycol*clamp(dot(n,keydir)*.85+.15,0.,1.)*sh+L*1.05*(1.+.35*(dot(n,vec3(0,1,0))-N.y)));
 o=vec4(col,1);}
"""
)

SOLID_VERTEX = (
    VERSION
    + """
in vec3 pos,nrm,tint; in vec4 wts; in vec2 look;   // look: gloss, occlusion
out vec3 P,N,C; out vec2 K; out vec4 S;
"""
    + POSE
    + """
void main(){mat4 m=blend(wts);vec4 q=m*vec4(pos,1);P=q.xyz;N=mat3(m)*nrm;C=tint;K=look;S=shadowproj*q;
  gl_Position=viewproj*q;}
"""
)

SOLID_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,C; in vec2 K; in vec4 S; out vec4 o;
"""
    + LIGHT
    + NOISE
    + """
void main(){
 vec3 n=normalize(N),V=normalize(eye-P);if(dot(n,V)<0.)n=-n;
 float sh=shadow(S,.012),g=K.x,rough=step(g,.05);
 vec3 c=C*mix(1.,.80+.4*noise(P*42.),rough);
 vec3 col=c*(keycol*clamp(dot(n,keydir)*.8+.2,0.,1.)*sh+environment(n,3.))*K.y;
 vec3 H=normalize(V+keydir);float F=.04+.7*pow(1.-clamp(dot(n,V),0.,1.),5.)+.5*step(.95,g);
 col+=(keycol*pow(max(dot(n,H),0.),80.)*1.5*sh+environment(reflect(-V,n),.08)*F)*g*mix(vec3(1),C*2.,step(.95,g));
 o=vec4(col,1);}
"""
)

LENS_FRAGMENT = (
    VERSION
    + """
in vec3 P,N,C; in vec2 K; in vec4 S; out vec4 o; uniform float dark;
"""
    + LIGHT
    + """
void main(){
 vec3 n=normalize(N),V=normalize(eye-P);if(dot(n,V)<0.)n=-n;
 float F=.035+.6*pow(1.-clamp(dot(n,V),0.,1.),5.);vec3 rf=reflect(-V,n);
 vec3 c=environment(rf,.03)*F*1.3+keycol*pow(max(dot(rf,keydir),0.),900.)*2.;
 o=vec4(c,clamp(F*.6+dark,0.,1.));}
"""
)
"""The glass adds its reflection and takes away `dark`; drawn with (ONE, ONE_MINUS_SRC_ALPHA)."""
