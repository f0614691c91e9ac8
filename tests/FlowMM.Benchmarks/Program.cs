using BenchmarkDotNet.Running;
using FlowMM.Benchmarks;
using FlowMM.KvCache;

NativeThreads.WaitPassively();
switch (args.FirstOrDefault())
{
    case "compression":
        CompressionBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    case "decode":
        DecodeBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    case "serving":
        await ServingBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    case "speculation":
        await SpeculationBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    default:
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
        break;
}
