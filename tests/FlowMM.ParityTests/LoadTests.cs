using TorchSharp;
using Xunit;

namespace FlowMM.ParityTests;

public sealed class LoadTests
{
    [Fact]
    public void Torch_Loads_AndAdds() => Assert.Equal(3f, (torch.tensor(1f) + 2f).item<float>());
}
