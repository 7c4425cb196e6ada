# Korean texts of the pages. Keys and variables are those of en.ftl; a test compares them.

## Words of several parts

training = 학습
validation = 검증
all-splits = 전체
step = 스텝
test = 시험
environment = 실행 환경
layer = 층
network = 신경망
weight-layers = 가중치 층
parameters = 매개변수
training-error = 학습 오류율
test-error = 시험 오류율
time = 시간
data = 데이터
steps = 스텝
versions = 버전
processor = 프로세서
threads = 스레드
system = 시스템

## The frame of the page

contents = 차례
footer = residual { $version }에서 만들었습니다. 이 페이지는 파일 하나로 되어 있으며 네트워크에서 아무것도 불러오지 않습니다.

## The page about runs

paper-title = 논문과 비교
learning-curves = 학습 곡선
reproduction-shortened = 재현 실험 (단축)
runs-title = 학습 비교
reproduction = 재현 실험
training-report = 학습 보고서
errors-title = 오류 분석
images-title = 이미지
network-title = 신경망
facts-title = 레시피와 환경
state-running = 학습 중
state-finished = 완료
state-interrupted = 중단됨
state-failed = 실패
test-error-top1 = 시험 오류율 (Top-1)
test-error-top5 = 시험 오류율 (Top-5)
best-validation-error = 최저 검증 오류율
training-time = 학습 시간
images-per-second = 초당 이미지
test-errors-top1 = 시험 오류율 (Top-1):
run = 실행
state = 상태
images-not-opened = 이미지를 열지 못했습니다:
run-unfinished = 아직 끝나지 않은 학습입니다: { $state }
interval = 95 % 구간: { $interval }
runs-compared = 학습 { $count }개 비교
difference-significant = { $better }의 시험 오류율이 { $worse }보다 { $points }퍼센트포인트 낮으며, 우연으로 보기 어려운 차이입니다(맥니마 검정, 유의 수준 5 %).
difference-by-chance = { $better }와(과) { $worse }의 시험 오류율 차이는 { $points }퍼센트포인트이며, 우연일 수 있습니다(맥니마 검정, 유의 수준 5 %).

## Charts

log-scale = 로그 눈금
values-as-a-table = 값을 표로 보기
chart-ends = { $name }: { $first }에서 { $last }로

## Learning curves

curves-note = 학습 곡선은 가중치가 바뀌는 동안 증강된 배치에서 잰 값입니다. 검증 오류율은 에폭이 끝난 뒤 증강 없이 재므로, 학습 오류율이 검증 오류율보다 높게 보일 수 있습니다.
curves-no-validation = 검증 세트를 나누지 않았으므로 마지막 가중치로 시험합니다.
chart-hint = 이름 옆의 값은 마지막 값입니다. 다른 값은 차트에 포인터를 올리거나, 초점을 맞추고 화살표 키를 눌러 볼 수 있습니다.
loss = 손실
top1-error-percent = Top-1 오류율, %
learning-rate = 학습률
training-speed = 초당 학습 이미지 수

## Errors

tested-at-center = 중앙 영역으로
tested-with-flip = 원본과 좌우 반전을 평균하여
errors-unfinished = 아직 끝나지 않은 학습이므로 시험 세트는 보지 않았습니다.
confusion-matrix = 혼동 행렬
accuracy-by-class = 클래스별 정확도
calibration = 보정(calibration)
confusion-caption = 행: 레이블, 열: 예측
label = 레이블
confusion-note = 행은 레이블, 열은 예측입니다.
predicted = 예측
images-column = 이미지
class = 클래스
bar = 막대
accuracy = 정확도
most-confused-with = 주로 혼동하는 클래스
calibration-overconfident = 전반적으로 실제 정확도보다 확신이 지나칩니다
calibration-underconfident = 전반적으로 실제 정확도보다 확신이 부족합니다
calibration-matched = 전반적으로 확신과 정확도가 일치합니다
calibration-key-accuracy = 해당 확신도에서의 정확도
calibration-key-over = 정확도보다 확신이 지나친 부분
calibration-key-under = 확신보다 정확도가 높은 부분
calibration-key-count = 이미지 수
calibration-diagram = 보정 다이어그램: 확신도별 정확도
confidence = 확신도
errors-note = { $split } 세트의 이미지 { $images }장을 { $protocol } 평가했습니다.
all-correct = 시험 이미지 { $images }장을 모두 맞혔습니다.
errors-sentence = 시험 이미지 { $images }장 가운데 { $wrong }장을 틀렸습니다. 가장 잦은 혼동은 { $label } → { $prediction }({ $times }번)입니다.
calibration-means = 평균 확신도 { $confidence } %, 정확도 { $accuracy } %: { $verdict }.
calibration-error = 기대 보정 오차(ECE) { $error }.
calibration-bin = 확신도 { $confidence } %: { $images }개 중 { $accuracy } % 정답

## Images

mistakes-title = 가장 확신한 오답
mistakes-suspicious = 확신도가 95 %를 넘는 이미지는 다시 살펴보세요. 레이블 자체가 틀렸거나 한 이미지에 두 대상이 있을 수 있습니다.
mistakes-none = 오답이 없습니다.
uncertain-title = 가장 망설인 이미지
uncertain-note = 정답 여부와 관계없이 가장 확률이 높은 두 클래스의 차이가 가장 작은 이미지입니다.
label-suspicious = 레이블 오류?
correct = 정답
explained-title = 예측의 근거
explained-note = Grad-CAM: 따뜻한 색일수록 답의 근거가 된 곳이고, 차가운 색은 영향이 없거나 반대 근거가 된 곳입니다.
augmented-alt = 각 줄: 학습 이미지와 그 증강 결과
augmented-title = 증강된 학습 이미지
augmented-note = 각 줄의 첫 칸은 원래 학습 이미지이고, 나머지는 레시피의 증강이 에폭마다 만들어 내는 모습입니다.
filters-title = 첫 번째 층의 필터
correct-next = 정답, 다음은 { $class } { $confidence } %
label-is = 레이블: { $label }
mistakes-note = { $split } 세트에서 신경망이 가장 확신하며 틀린 이미지입니다.
thumbnail-alt = { $name }: 레이블은 { $label }, 예측은 { $prediction }
heat-alt = 같은 이미지에서 { $prediction }(으)로 판단한 근거를 따뜻한 색으로 표시
filters-alt = 필터 { $count }개
filters-note = { $side }×{ $side } 필터 { $count }개를 색으로 나타냈습니다. 회색이 0이며, 필터마다 가장 큰 가중치에 맞추어 밝기를 조정했습니다.

## The network

kind = 종류
output = 출력
multiply-adds = 곱셈-덧셈
receptive-field = 수용 영역
share-of-image = 이미지 대비
whole-image = 전체
network-note = 매개변수 { $params }개, { $side }×{ $side } 이미지 한 장당 곱셈-덧셈 { $macs }회입니다. 수용 영역은 한 층의 값 하나가 보는 입력 영역의 한 변(픽셀)이며, 막대는 이를 이미지 크기와 견준 것입니다.

## Recipe and environment

recipe = 레시피
weights-best = 검증 오류율이 가장 낮은 가중치
weights-last = 마지막 가중치(검증 세트 없음)
warning = 경고
run-folder = 실행 폴더
seed = 시드
data-wait = 그중 데이터 대기
peak-memory = 최대 메모리
tested-weights = 시험한 가중치
memory = 메모리
threads-of-cores = 코어 { $cores }개 중 { $threads }개, { $isa }

## Comparison with the paper

shortened-note = 단축 실행입니다. 논문보다 스텝과 이미지가 훨씬 적습니다. 신경망끼리 견줄 수는 있으나 논문의 수치에 대해서는 아무것도 말해 주지 않습니다.
table-row = 항목
paper = 논문
ours = 결과
paper-top5 = 논문, top-5
ours-top5 = 결과, top-5
tolerance = 허용 오차
verdict = 판정
one-seed-interval = 시드 하나의 결과이며, 95 % 구간은 시험 이미지 수만 고려한 것입니다.
claims-title = 논문의 주장
higher-error = 오류율이 더 높은 쪽
lower-error = 오류율이 더 낮은 쪽
difference-points = 차이 (퍼센트포인트)
claim-result = 결과
tested-on = 시험 데이터: { $data }.
above = { $value } 초과
judged-by = { $protocol } 방식으로 판단
mean-of-seeds = { $seeds ->
    [1] 시드 1개의 결과입니다.
   *[other] 시드 { $seeds }개의 평균 ± 표준 편차입니다.
}
verdict-reproduced = 재현됨
verdict-better = 더 좋음: 잡음보다 큰 차이
verdict-within-noise = 판단 불가: 허용 오차를 벗어났으나 잡음 범위 안
verdict-not-reproduced = 재현되지 않음
verdict-shortened = 판단하지 않음: 단축 실행
verdict-other-images = 판단하지 않음: 논문과 다른 이미지
verdict-other-network = 판단하지 않음: 논문과 다른 신경망
order-holds = 잡음보다 큰 차이
order-within-noise = 잡음 범위 안
order-fails = 반대 방향으로 잡음보다 큰 차이

## The lab

lab-result = 결과
lab-errors = 학습 오류율과 시험 오류율
responses-title = 층의 반응 크기
responses = 반응 크기
gradients-title = 각 층에 도달하는 기울기
gradients = 기울기
shortcuts-title = 지름길 연결 A, B, C
lab-method = 실험 방법
lab-report = 실험 보고서
lab-depth-title = 지름길 연결의 유무와 깊이
lab-depth-lead = 일반 신경망은 깊어지면 학습 오류율부터 나빠집니다. 과적합이 아니라 학습 자체가 어려워지는 것입니다. 지름길 연결이 있으면 그렇지 않습니다(He 외 2016, 그림 6).
lab-vgg-title = VGG의 깊이
lab-vgg-lead = VGG 표 1의 구성을 같은 레시피로, 배치 정규화를 쓰는 경우와 쓰지 않는 경우로 나누어 학습했습니다. 구성 A는 지역 반응 정규화(LRN)도 함께 견줍니다.
lab-nonlinearity-title = 작은 필터를 쌓으면 좋은 이유
lab-nonlinearity-lead = 3x3 필터 세 개의 수용 영역은 7x7 필터 하나와 같습니다. 쌓아서 얻는 것은 그 사이의 ReLU입니다. ReLU가 없으면 아무리 쌓아도 선형 필터 하나와 같습니다.
group-plain = 일반
group-batch-norm = 배치 정규화 있음
group-no-batch-norm = 배치 정규화 없음
group-relu = ReLU 있음
group-no-relu = ReLU 없음
seeds = 시드
lab-vgg-note = 가중치 층은 논문의 방식대로 셌습니다. 작은 이미지에서는 완전 연결 층 하나가 논문의 세 층을 대신합니다.
lab-errors-note = 마지막 스텝 뒤에 증강하지 않은 학습 이미지 전체와 시험 이미지 전체에서 잰 오류율입니다. 시간에는 내부 측정에 걸린 시간도 들어 있습니다.
lab-curves-batches = 학습 오류율은 앞 시점 이후 증강된 배치에서, 시험 오류율은 시험 이미지 전체에서 잰 값입니다.
lab-curves-probes = 학습 도중 두 세트에서 고르게 뽑은 최대 2,000장을 증강 없이 잰 값이고, 이 값으로 무엇을 고르지는 않았습니다.
lab-curves-key = 점선은 학습 오류율, 실선은 시험 오류율이며 모든 그림의 축이 같습니다.
lab-deepest-kinds = 종류별 가장 깊은 신경망: 에폭별 학습 오류율(증강된 이미지)
lab-deepest-batch-norm = 배치 정규화 유무별 가장 깊은 신경망: 에폭별 학습 오류율(증강된 이미지)
time-all-networks = 전체 시간
lab-recipe = 공통 레시피
stack-with-relu = 단계마다 { $stack }, ReLU 있음
stack-without-relu = 단계마다 { $stack }, ReLU 없음
group-residual = 잔차, 지름길 연결 { $shortcut }

## The lab: conclusions

depth-worse = { $group }: 학습 오류율은 { $shallow } { $shallow-error }, { $deep } { $deep-error }입니다. 깊은 쪽의 학습 오류율이 더 높습니다.
depth-better = { $group }: 학습 오류율은 { $shallow } { $shallow-error }, { $deep } { $deep-error }입니다. 깊은 쪽의 학습 오류율이 더 낮습니다.
depth-equal = { $group }: 학습 오류율은 { $shallow } { $shallow-error }, { $deep } { $deep-error }입니다. 학습 오류율의 차이는 1퍼센트포인트 이내입니다.
lrn-gain = LRN: 학습 오류율은 { $without } { $without-error }, { $with } { $with-error }입니다. 논문에서는 이런 이득이 없어 더 깊은 신경망에는 쓰지 않았습니다.
lrn-no-gain = LRN: 학습 오류율은 { $without } { $without-error }, { $with } { $with-error }입니다. 논문에서도 이득이 없어 더 깊은 신경망에는 쓰지 않았습니다.
batch-norm-errors = 배치 정규화(논문 이듬해에 나왔습니다): { $name }의 학습 오류율은 없을 때 { $without }, 있을 때 { $with }입니다.
relu-errors = { $name }: 학습 오류율은 ReLU가 있을 때 { $with }, 없을 때 { $without }입니다.
small-filters-errors = ReLU가 있고 수용 영역이 같을 때 시험 오류율은 { $small } (매개변수 { $small-params }) { $small-error }, { $large } ({ $large-params }) { $large-error }입니다.

## The lab: responses and gradients

rank = 순위
in-layer-order = 층 순서
sorted = 큰 순서
responses-note = 학습 이미지 128장에 대해 각 합성곱 층이 내는 값의 표준 편차입니다. 배치 정규화 뒤, 덧셈과 ReLU 앞에서 쟀으며 지름길 연결의 사영 층은 뺐습니다.
responses-depth = 잔차 블록은 받은 신호에 더하기만 합니다. 층의 반응이 일반 신경망보다 작다면 신호를 조금씩만 바꾼다는 뜻이며, 이는 잔차 학습의 가정과 맞습니다(He 외 2016, 4.2절).
at-the-start = 학습 시작 시점
after-the-last-step = 마지막 스텝 뒤
first-over-last = 첫 층 대 마지막 층의 비
gradients-note = 학습 이미지 128장에 대한 손실을 각 합성곱 층의 가중치로 미분한 기울기의 L2 노름입니다. 층마다 몇 자릿수씩 다르면 모든 층에 맞는 학습률 하나를 찾을 수 없습니다.
gradients-ratio-title = 학습 과정에서 첫 층과 마지막 층의 비교
gradients-all-title = 모든 층의 학습 과정
gradients-heat-note = 행은 층(맨 위가 첫 층), 열은 관찰 시점(맨 왼쪽이 시작 시점)입니다. 모든 신경망이 같은 로그 색 눈금을 씁니다.
gradients-scale = 작은 값에서 큰 값으로 가는 색
responses-means = 평균: { $means }.
layers-of-depth = { $depth }층
gradients-heat-alt = { $name }: { $layers }개 층의 기울기 노름, { $steps }스텝; 첫 층과 마지막 층은 시작 시점에 { $start-first }, { $start-last }, 끝에 { $end-first }, { $end-last }

## The lab: shortcuts

no-shortcut = 없음
shortcuts-kinds = 블록이 특징 맵의 크기를 바꾸면 지름길 연결도 크기를 맞추어야 합니다. A는 다운샘플링하고 모자라는 채널을 0으로 채우므로 가중치가 없습니다. B는 그런 곳에서만 1x1 합성곱으로 사영하고 다른 곳에서는 항등 연결을 씁니다. C는 모든 곳에서 사영합니다.
shortcuts-paper = 논문은 ImageNet에서 B가 A보다, C가 B보다 조금 낫지만 셋 모두 지름길 연결이 없는 것보다 훨씬 나으므로 사영이 핵심은 아니라고 결론짓습니다(4.1절, 표 3). 짧은 실험에서는 기울기도 함께 보세요. C는 모든 지름길 연결에 합성곱을 넣습니다.
shortcuts = 지름길 연결
mean-response = 평균 반응
gradient-ratio-start = 기울기 비(첫 층/마지막 층), 시작
gradient-ratio-end = 끝

## The contact sheet of augmentation

sheet = 미리 보기
sheet-title = 데이터 증강
sheet-note = 레시피의 증강을 적용 순서대로 하나씩 보이고, 마지막에 모두 함께 적용합니다.
sheet-testing = 시험할 때, { $height }×{ $width }픽셀
sheet-epoch = 에폭 { $epoch }
sheet-all = 모두 함께, { $side }×{ $side }픽셀
sheet-scale = 짧은 변을 { $low }–{ $high }로 맞춘 뒤 무작위 크롭
sheet-resized = 넓이의 { $low }–{ $high } %, 가로세로 비 { $tall }–{ $wide }의 무작위 크롭
sheet-rand-augment = RandAugment: 이 가운데 { $operations }개, 세기 { $strength }, 부호 무작위
sheet-trivial-augment = TrivialAugment: 이 가운데 하나, 세기와 부호 무작위(여기서는 최대의 3분의 2)
sheet-jitter = 색 변형: 밝기 { $brightness }, 대비 { $contrast }, 채도 { $saturation }, 색조 { $hue }
sheet-flip-alternating = 한 에폭 걸러 좌우 반전
sheet-flip-random = 확률 0.5로 좌우 반전
sheet-shift = 최대 { $pixels }픽셀 이동
sheet-lighting = 조명: 주성분, 표준 편차 { $deviation }
sheet-cutout = Cutout: 한 변이 { $pixels }픽셀인 정사각형
sheet-erasing = 확률 { $probability }의 무작위 지우기(여기서는 항상)

## Phrases of the tables of the papers, kinds of layers and labels of data sets: the English one is replaced
## by the Korean one wherever it occurs, longer ones first.

phrase-row-three-3x3-against-one-7x7-weights-in-c-receptive-field-in-pixels-and-how-many-more-weights-in = 3x3 세 개와 7x7 하나: 가중치(C²), 수용 영역(픽셀), 가중치 증가율(%)
phrase-row-multiply-adds-at-224-px-and-vgg-s-beside-them = 224픽셀에서의 곱셈-덧셈 횟수, VGG와 비교
phrase-row-depth-with-and-without-shortcuts-on-imagenet = 지름길 연결의 유무와 깊이, ImageNet
phrase-row-parameters-of-the-cifar-networks = CIFAR용 신경망의 매개변수
phrase-row-mean-of-five-the-best-is-6-43 = 다섯 번의 평균, 최저 6.43
phrase-row-an-independent-replication = 독립 재현 실험
phrase-row-single-networks-on-imagenet = 단일 신경망, ImageNet
phrase-row-by-5x5-windows-and-both = 5x5 창, 둘의 평균
phrase-row-one-7x7-over-three-3x3 = 3x3 세 개 대비 7x7 하나
phrase-row-weights-of-three-3x3 = 3x3 세 개의 가중치
phrase-row-weights-of-one-7x7 = 7x7 하나의 가중치
phrase-row-field-of-three-3x3 = 3x3 세 개의 수용 영역
phrase-row-field-of-one-7x7 = 7x7 하나의 수용 영역
phrase-row-three-3x3-trained = 3x3 세 개, 학습
phrase-row-one-7x7-trained = 7x7 하나, 학습
phrase-row-dense-at-five-scales = 조밀 평가, 다섯 크기
phrase-row-s-in-256-to-512 = S=256–512
phrase-row-nets-d-and-e-averaged = 구성 D와 E의 평균
phrase-row-nets-d-and-e = 구성 D와 E
phrase-row-on-cifar-10 = , CIFAR-10
phrase-row-on-imagenet = , ImageNet
phrase-row-parameters = 매개변수
phrase-row-multi-crop = 다중 크롭
phrase-row-ten-views = 10개 시점
phrase-row-ten-crop = 10-크롭
phrase-row-figure = {"그림 "}
phrase-row-table = {"표 "}
phrase-row-dense = 조밀 평가
phrase-row-center = 중앙 영역
phrase-row-both = /둘의 평균
phrase-row-net = {"구성 "}
phrase-layer-adaptive-average = 적응 평균 풀링
phrase-layer-subsample = 다운샘플링
phrase-layer-maxpool = 최대 풀링
phrase-layer-average = 평균 풀링
phrase-layer-dropout = 드롭아웃
phrase-layer-linear = 완전 연결
phrase-layer-conv = {"합성곱 "}
phrase-layer-norm = 정규화
phrase-layer-relu = ReLU
phrase-layer-lrn = LRN
phrase-pixels-not-canonical-pixels = (배포된 원본과 다른 픽셀)
phrase-pixels-pixels-not-verified = (픽셀 미확인)
