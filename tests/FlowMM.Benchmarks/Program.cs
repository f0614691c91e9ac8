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
    case "restore":
        await RestoreBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    case "idle":
        await IdleBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    case "migration":
        await MigrationBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    case "speculation":
        await SpeculationBenchmark.Run(BenchmarkOptions.Parse(args[1..]));
        break;
    default:
        BenchmarkSwitcher.FromAssembly(typeof(BenchmarkOptions).Assembly).Run(args);
        break;
}
