// Package gan owns generative adversarial networks (Goodfellow et al. 2014, arXiv:1406.2661): a generator that makes
// pictures of noise, and a discriminator (a critic, when it is trained with Wasserstein's distance) that tells them from
// real ones. There are three architectures: fully connected (MLP), strided convolutions (DCGAN; Radford et al. 2015,
// arXiv:1511.06434) and the residual networks of WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028).
//
// Networks of MLP and DCGAN carry the names of a PyTorch Sequential (main.0.weight, main.1.running_mean, ...), so files
// of PyTorch's DCGAN example load as they are; those of ResNet the names of the paper's code (res1.conv1.weight, ...).
//
// Letters in comments: n pictures of S x S pixels in C channels, z noise of k numbers.
//
// Start with config.go (what a network is), then graph.go (what it computes), loss.go (what it is trained for),
// weights.go (files), use.go (pictures). The schedule of a training is in package train.
package gan
