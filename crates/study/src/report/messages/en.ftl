# English texts of the pages. Keys and variables are those of ko.ftl; a test compares them.

## Words of several parts

training = training
validation = validation
all-splits = whole
step = step
test = test
environment = Environment
layer = layer
network = network
weight-layers = weight layers
parameters = parameters
training-error = training error
test-error = test error
time = time
data = data
steps = steps
versions = versions
processor = processor
threads = threads
system = system

## The frame of the page

contents = Contents
footer = Made by residual { $version }. This page is one file and loads nothing from the network.

## The page about runs

paper-title = Comparison with the paper
learning-curves = Learning curves
reproduction-shortened = Reproduction, shortened
runs-title = Runs
reproduction = Reproduction
training-report = Training report
errors-title = Error analysis
images-title = Images
network-title = Network
facts-title = Recipe and environment
state-running = running
state-finished = finished
state-interrupted = interrupted
state-failed = failed
test-error-top1 = test error, top-1
test-error-top5 = test error, top-5
best-validation-error = lowest validation error
training-time = training time
images-per-second = images per second
test-errors-top1 = Test error, top-1:
run = run
state = state
images-not-opened = The images could not be opened:
run-unfinished = This run is not finished: { $state }
interval = 95 %: { $interval }
runs-compared = Comparison of { $count } runs
difference-significant = The test error of { $better } is { $points } points lower than that of { $worse }: a significant difference (McNemar's test, 5 %).
difference-by-chance = The test errors of { $better } and { $worse } differ by { $points } points, which may be chance (McNemar's test, 5 %).

## Charts

log-scale = log scale
values-as-a-table = values as a table
chart-ends = { $name }: { $first } to { $last }

## Learning curves

curves-note = Training values are measured on augmented batches while the weights change; validation values at the end of each epoch, without augmentation. Training error can therefore be above validation error.
curves-no-validation = There is no validation split: the last weights are tested.
chart-hint = The legend shows the last value of each curve; point at a chart, or focus it and use the arrow keys, to read the others.
loss = Loss
top1-error-percent = Top-1 error, %
learning-rate = Learning rate
training-speed = Training images per second

## Errors

tested-at-center = center crop
tested-with-flip = probabilities averaged over the image and its mirror image
errors-unfinished = The run is not finished, so the test split has not been used.
confusion-matrix = Confusion matrix
accuracy-by-class = Accuracy by class
calibration = Calibration
confusion-caption = Rows: label. Columns: prediction.
label = label
confusion-note = Rows are labels, columns are predictions.
predicted = predicted
images-column = images
class = class
bar = bar
accuracy = accuracy
most-confused-with = most confused with
calibration-overconfident = overconfident on average
calibration-underconfident = underconfident on average
calibration-matched = well calibrated on average
calibration-key-accuracy = accuracy at that confidence
calibration-key-over = overconfident: confidence above accuracy
calibration-key-under = underconfident: accuracy above confidence
calibration-key-count = number of images
calibration-diagram = Calibration diagram: accuracy by confidence
confidence = confidence
errors-note = { $images } images of the { $split } split ({ $protocol }).
all-correct = All { $images } test images are classified correctly.
errors-sentence = { $wrong } of { $images } test images are misclassified, most often { $label } as { $prediction } ({ $times ->
    [one] once
   *[other] { $times } times
}).
calibration-means = Mean confidence { $confidence } %, accuracy { $accuracy } %: { $verdict }.
calibration-error = Expected calibration error (ECE) { $error }.
calibration-bin = confidence { $confidence } %: { $accuracy } % of { $images } correct

## Images

mistakes-title = Most confident errors
mistakes-suspicious = Check those above 95 % confidence: the label itself may be wrong, or the image shows two objects.
mistakes-none = No errors.
uncertain-title = Least certain predictions
uncertain-note = Images whose two most probable classes are closest, whether right or wrong.
label-suspicious = wrong label?
correct = correct
explained-title = Evidence for the predictions
explained-note = Grad-CAM: warm regions support the prediction; cold regions have no influence or speak against it.
augmented-alt = Rows of training images, each followed by augmented versions
augmented-title = Augmented training images
augmented-note = Each row starts with a training image, followed by augmented versions of it in different epochs.
filters-title = Filters of the first convolution
correct-next = correct; next { $class } { $confidence } %
label-is = label: { $label }
mistakes-note = Images of the { $split } split with the most confident wrong predictions.
thumbnail-alt = { $name }: label { $label }, prediction { $prediction }
heat-alt = the same image; warm regions support { $prediction }
filters-alt = { $count } filters
filters-note = { $count } filters of { $side }×{ $side } weights as colours: grey is zero, each filter is scaled to its largest weight.

## The network

kind = kind
output = output
multiply-adds = multiply-adds
receptive-field = receptive field
share-of-image = share of the image
whole-image = all
network-note = { $params } parameters, { $macs } multiply-adds for one { $side }×{ $side } image. The receptive field is the side, in input pixels, of the square that one output value depends on; the bar compares it with the image.

## Recipe and environment

recipe = Recipe
weights-best = those with the lowest validation error
weights-last = the last weights (no validation split)
warning = Warning
run-folder = run folder
seed = seed
data-wait = of which waiting for data
peak-memory = peak memory
tested-weights = tested weights
memory = memory
threads-of-cores = { $threads } threads on { $cores } cores, { $isa }

## Comparison with the paper

shortened-note = A shortened run, with far fewer steps and images than in the paper. It compares the networks with each other and says nothing about the paper's values.
table-row = row
paper = paper
ours = ours
paper-top5 = paper, top-5
ours-top5 = ours, top-5
tolerance = tolerance
verdict = verdict
one-seed-interval = One seed; the 95 % interval reflects the number of test images only.
claims-title = The paper's claims
higher-error = higher error
lower-error = lower error
difference-points = difference (points)
claim-result = result
tested-on = Tested on { $data }.
above = above { $value }
judged-by = to be judged by { $protocol }
mean-of-seeds = { $seeds ->
    [one] One seed.
   *[other] Mean ± standard deviation of { $seeds } seeds.
}
verdict-reproduced = reproduced
verdict-better = better, by more than noise
verdict-within-noise = undecided: beyond the tolerance, within noise
verdict-not-reproduced = not reproduced
verdict-shortened = not judged: a shortened run
verdict-other-images = not judged: other images than the paper's
verdict-other-network = not judged: another network than the paper's
order-holds = more than noise
order-within-noise = within noise
order-fails = more than noise, the other way round

## The lab

lab-result = Results
lab-errors = Training and test error
responses-title = Layer responses
responses = Responses
gradients-title = Gradient norms of the layers
gradients = Gradients
shortcuts-title = Shortcuts A, B and C
lab-method = Method
lab-report = Lab report
lab-depth-title = Depth with and without shortcuts
lab-depth-lead = Deeper plain networks have a higher training error: they do not overfit, they are harder to train. Residual networks do not have this problem (He et al. 2016, Figure 6).
lab-vgg-title = Depth of VGG
lab-vgg-lead = The configurations of VGG's Table 1 under one recipe, with and without batch normalisation; configuration A also with local response normalisation.
lab-nonlinearity-title = Why stacks of small filters help
lab-nonlinearity-lead = Three 3x3 filters have the receptive field of one 7x7. They gain the ReLUs between them: without ReLUs any stack is one linear filter.
group-plain = Plain
group-batch-norm = With batch norm
group-no-batch-norm = Without batch norm
group-relu = With ReLUs
group-no-relu = Without ReLUs
seeds = seeds
lab-vgg-note = Weight layers are counted as in the paper; for small images one fully connected layer replaces its three.
lab-errors-note = Errors after the last step, on all training images without augmentation and on all test images. Time includes the probes.
lab-curves-batches = Training error is measured on the augmented batches since the previous point, test error on all test images.
lab-curves-probes = Measured during training on up to 2,000 evenly spaced images of each split, without augmentation; these values select nothing.
lab-curves-key = Dashed: training error; solid: test error. All charts have the same axes.
lab-deepest-kinds = The deepest network of each kind: training error per epoch, on augmented images
lab-deepest-batch-norm = The deepest network with and without batch norm: training error per epoch, on augmented images
time-all-networks = total time
lab-recipe = Common recipe
stack-with-relu = { $stack } per stage, ReLU
stack-without-relu = { $stack } per stage, no ReLU
group-residual = Residual, shortcuts { $shortcut }

## The lab: conclusions

depth-worse = { $group }: { $shallow } ends at a training error of { $shallow-error }, { $deep } at { $deep-error }: the deeper network trains worse.
depth-better = { $group }: { $shallow } ends at a training error of { $shallow-error }, { $deep } at { $deep-error }: the deeper network trains better.
depth-equal = { $group }: { $shallow } ends at a training error of { $shallow-error }, { $deep } at { $deep-error }: they differ by at most one point.
lrn-gain = LRN: { $without } ends at a training error of { $without-error }, { $with } at { $with-error }. The paper reports no such gain and leaves LRN out of its deeper networks.
lrn-no-gain = LRN: { $without } ends at a training error of { $without-error }, { $with } at { $with-error }. The paper reports no gain either and leaves LRN out of its deeper networks.
batch-norm-errors = Batch norm (published a year after the paper): { $name } ends at { $without } without it, at { $with } with it.
relu-errors = { $name }: training error { $with } with ReLUs, { $without } without.
small-filters-errors = With ReLUs and the same receptive field: test error { $small-error } for { $small } ({ $small-params } parameters), { $large-error } for { $large } ({ $large-params }).

## The lab: responses and gradients

rank = rank
in-layer-order = in layer order
sorted = sorted by size
responses-note = Standard deviation of each convolution's response to 128 training images: after batch norm where there is one, before addition and ReLU. Projection shortcuts are left out.
responses-depth = A residual block adds to its input. Where its layers respond less than those of a plain network, the block changes the signal only a little, as residual learning expects (He et al. 2016, §4.2).
at-the-start = at the start
after-the-last-step = after the last step
first-over-last = ratio of first to last layer
gradients-note = L2 norm of the gradient of the loss with respect to the weights of each convolution, for 128 training images. Where it differs by orders of magnitude between layers, no single learning rate suits all of them.
gradients-ratio-title = First and last layer during training
gradients-all-title = All layers during training
gradients-heat-note = Rows are layers (the first at the top), columns are snapshots (the start at the left). All networks share one logarithmic colour scale.
gradients-scale = colour scale from small to large
responses-means = Means: { $means }.
layers-of-depth = { $depth } layers
gradients-heat-alt = { $name }: gradient norms of { $layers } layers over { $steps } steps; first and last layer { $start-first } and { $start-last } at the start, { $end-first } and { $end-last } at the end

## The lab: shortcuts

no-shortcut = none
shortcuts-kinds = Where a block changes the size of the feature map, its shortcut must change it too. A subsamples and pads with zero channels, without weights. B uses a 1x1 convolution (projection) there and the identity elsewhere. C uses projections everywhere.
shortcuts-paper = On ImageNet the paper finds B slightly better than A and C slightly better than B, all three far better than no shortcuts, and concludes that projections are not essential (§4.1, Table 3). For short runs compare the gradients too: C has a convolution in every shortcut.
shortcuts = shortcuts
mean-response = mean response
gradient-ratio-start = gradient, first/last layer, at the start
gradient-ratio-end = at the end

## The contact sheet of augmentation

sheet = Contact sheet
sheet-title = Augmentation
sheet-note = Each augmentation of the recipe by itself, in the order of application, then all of them together.
sheet-testing = In testing, { $height }×{ $width } pixels
sheet-epoch = epoch { $epoch }
sheet-all = All together, { $side }×{ $side } pixels
sheet-scale = Random crop of the image resized to a shorter side of { $low } to { $high }
sheet-resized = Random crop of { $low } to { $high } % of the area, aspect ratio { $tall } to { $wide }
sheet-rand-augment = RandAugment: { $operations } of these at strength { $strength }, either sign
sheet-trivial-augment = TrivialAugment: one of these at any strength, either sign (here at two thirds)
sheet-jitter = Colour jitter: brightness { $brightness }, contrast { $contrast }, saturation { $saturation }, hue { $hue }
sheet-flip-alternating = Horizontal flip in every other epoch
sheet-flip-random = Horizontal flip with probability 0.5
sheet-shift = Shift by up to { $pixels } pixels
sheet-lighting = Lighting: principal components, standard deviation { $deviation }
sheet-cutout = Cutout: a square of { $pixels } pixels
sheet-erasing = Random erasing with probability { $probability } (here always)

## Phrases of the tables of the papers, kinds of layers and labels of data sets: the English one is replaced
## by the Korean one wherever it occurs, longer ones first.

phrase-row-three-3x3-against-one-7x7-weights-in-c-receptive-field-in-pixels-and-how-many-more-weights-in = three 3x3 against one 7x7: weights in C², receptive field in pixels, and how many more weights in %
phrase-row-multiply-adds-at-224-px-and-vgg-s-beside-them = multiply-adds at 224 px, and VGG's beside them
phrase-row-depth-with-and-without-shortcuts-on-imagenet = depth with and without shortcuts on ImageNet
phrase-row-parameters-of-the-cifar-networks = parameters of the CIFAR networks
phrase-row-mean-of-five-the-best-is-6-43 = mean of five; the best is 6.43
phrase-row-an-independent-replication = an independent replication
phrase-row-single-networks-on-imagenet = single networks on ImageNet
phrase-row-by-5x5-windows-and-both = by 5x5 windows, and both
phrase-row-one-7x7-over-three-3x3 = one 7x7 over three 3x3
phrase-row-weights-of-three-3x3 = weights of three 3x3
phrase-row-weights-of-one-7x7 = weights of one 7x7
phrase-row-field-of-three-3x3 = field of three 3x3
phrase-row-field-of-one-7x7 = field of one 7x7
phrase-row-three-3x3-trained = three 3x3, trained
phrase-row-one-7x7-trained = one 7x7, trained
phrase-row-dense-at-five-scales = dense at five scales
phrase-row-s-in-256-to-512 = S in 256 to 512
phrase-row-nets-d-and-e-averaged = nets D and E averaged
phrase-row-nets-d-and-e = nets D and E
phrase-row-on-cifar-10 = {" on CIFAR-10"}
phrase-row-on-imagenet = {" on ImageNet"}
phrase-row-parameters = parameters
phrase-row-multi-crop = multi-crop
phrase-row-ten-views = ten views
phrase-row-ten-crop = ten-crop
phrase-row-figure = {"Figure "}
phrase-row-table = {"Table "}
phrase-row-dense = dense
phrase-row-center = center
phrase-row-both = /both
phrase-row-net = {"net "}
phrase-layer-adaptive-average = adaptive average
phrase-layer-subsample = subsample
phrase-layer-maxpool = maxpool
phrase-layer-average = average
phrase-layer-dropout = dropout
phrase-layer-linear = linear
phrase-layer-conv = conv
phrase-layer-norm = norm
phrase-layer-relu = relu
phrase-layer-lrn = lrn
phrase-pixels-not-canonical-pixels = (not canonical pixels)
phrase-pixels-pixels-not-verified = (pixels not verified)
