// Copyright the attend authors. SPDX-License-Identifier: Apache-2.0
//
// The parts of LibTorch that attend uses. torch/torch.h would bring data loaders, serialisation and
// the script compiler too, and more than double the time that each file takes to compile.
#pragma once

#include <torch/autograd.h>
#include <torch/nn/functional/loss.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <torch/version.h>
