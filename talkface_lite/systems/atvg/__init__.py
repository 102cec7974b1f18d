"""ATVGnet (Chen et al., CVPR 2019): speech to landmarks to video."""
